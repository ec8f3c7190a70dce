"""Opening a database by URL: how its connections are made on SQLite and on PostgreSQL.

SQLite: WAL, synchronous=FULL; the writer begins IMMEDIATE and alone checkpoints, readers open
the file read-only. PostgreSQL: a small pool; readers are read-only by default.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, QueuePool, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from patchtide.domain.errors import InvalidDocument, Problem

READ_LIMIT_S = 5.0
LOCK_TIMEOUT_MS = 4000
_PROGRESS_STEPS = 20_000


def parse_url(text: str) -> URL:
    """Return the address of a database.

    Raises:
        InvalidDocument: neither SQLite nor PostgreSQL.
    """
    what = Problem("database", "give sqlite:///PATH or postgresql://USER@HOST/NAME")
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise InvalidDocument([what]) from error
    match url.drivername.partition("+")[0]:
        case "sqlite" if url.database:
            return url.set(drivername="sqlite")
        case "postgresql":
            return url.set(drivername="postgresql+psycopg")
        case _:
            raise InvalidDocument([what])


def is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def open_writer(url: URL) -> Engine:
    """Return an engine whose one connection writes."""
    if is_sqlite(url):
        _make_private(Path(str(url.database)))
        engine = create_engine(url, poolclass=QueuePool, pool_size=1, max_overflow=0)
        event.listen(engine, "connect", _writer_connection)
        # One that begins as a reader and writes later may find that another wrote meanwhile, and
        # fails at once, however long it would be willing to wait.
        event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine
    return create_engine(
        url,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={"options": f"-c lock_timeout={LOCK_TIMEOUT_MS}", "connect_timeout": 5},
    )


@contextmanager
def writing(url: str) -> Iterator[Engine]:
    """Open the database from outside of any server, for as long as the block goes on."""
    engine = open_writer(parse_url(url))
    try:
        yield engine
    finally:
        engine.dispose()


def open_readers(url: URL) -> Engine:
    if is_sqlite(url):
        path = Path(str(url.database)).absolute()
        engine = create_engine(
            "sqlite://",
            creator=lambda: _reader_connection(path),
            poolclass=QueuePool,
            pool_size=4,
            max_overflow=4,
            pool_timeout=READ_LIMIT_S,
        )
        event.listen(engine, "begin", _begin_reading)
        return engine
    options = f"-c default_transaction_read_only=on -c statement_timeout={int(READ_LIMIT_S * 1000)}"
    return create_engine(
        url,
        pool_size=4,
        max_overflow=4,
        pool_pre_ping=True,
        pool_timeout=READ_LIMIT_S,
        # A question may take several statements, which must see one and the same state.
        isolation_level="REPEATABLE READ",
        connect_args={"options": options, "connect_timeout": 5},
    )


def _make_private(path: Path) -> None:
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True)
        path.parent.chmod(0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    path.chmod(0o600)


def _writer_connection(connection: sqlite3.Connection, record: Any) -> None:
    del record
    # Otherwise the driver begins transactions of its own, and not IMMEDIATE ones.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=10000",
        "journal_size_limit=67108864",
        "cache_size=-32000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _reader_connection(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False, isolation_level=None
    )
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection


def _begin_reading(connection: Any) -> None:
    # SQLite has no time limit for statements. One that reads for ever would also keep the log
    # from being written back, which then grows with every commit.
    raw = connection.connection.driver_connection
    end = time.monotonic() + READ_LIMIT_S
    raw.set_progress_handler(lambda: time.monotonic() > end, _PROGRESS_STEPS)
    connection.exec_driver_sql("BEGIN")
