"""The agent's journal in SQLite: WAL, synchronous=FULL, one writer.

A power cut keeps every durable write; a crash of the process keeps them all. An error of the
disk is fatal for its transaction and is not retried here: the process ends and the next one
starts from what is stored.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import msgspec

from patchtide.adapters.agentstate.folder import FILE_MODE, private_folder, sync_folder
from patchtide.agent.ports.journal import (
    EVENTS_KEPT,
    REPORT_LIMIT,
    JournalFailed,
    NoSpace,
    PendingReport,
    ShardChange,
    ShardHead,
    States,
)
from patchtide.wire.messages import EventV1

COUNTER_BLOCK = 256
SPARE_BYTES = 256 << 10
"""Free space that is left for finishing and reporting."""
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE brain (one INTEGER PRIMARY KEY CHECK (one = 1), state BLOB NOT NULL);
CREATE TABLE counter (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    next INTEGER NOT NULL, ceiling INTEGER NOT NULL, boot_id TEXT NOT NULL
);
CREATE TABLE acknowledged (
    one INTEGER PRIMARY KEY CHECK (one = 1), lineage BLOB NOT NULL, digest BLOB NOT NULL,
    required BLOB NOT NULL, installed BLOB NOT NULL, unknown BLOB NOT NULL
);
CREATE TABLE pending (
    one INTEGER PRIMARY KEY CHECK (one = 1), counter INTEGER NOT NULL, body BLOB NOT NULL,
    whole INTEGER NOT NULL, restored INTEGER NOT NULL, events_to INTEGER NOT NULL,
    has_states INTEGER NOT NULL, lineage BLOB, digest BLOB, required BLOB, installed BLOB,
    unknown BLOB
);
CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE policy (name BLOB PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE shard (name TEXT PRIMARY KEY, lineage BLOB NOT NULL, serial INTEGER NOT NULL);
CREATE TABLE leaf (
    shard TEXT NOT NULL, number INTEGER NOT NULL, revision INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (shard, number)
) WITHOUT ROWID;
"""
_event = msgspec.msgpack.Decoder(EventV1)
_encode = msgspec.msgpack.Encoder().encode


class Damaged(Exception):
    """The file is no intact journal of this version."""


class SqliteJournal:
    """Opens (or makes) the journal. Use `open_journal` to survive a damaged one.

    Raises:
        Damaged: the file is there, but is no intact journal.
        JournalFailed: the disk does not let it be opened.
    """

    def __init__(self, path: Path, *, boot_id: str, check: bool = True) -> None:
        self._path = path
        fresh = _create(path)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        try:
            self._prepare(boot_id, fresh=fresh, check=check)
        except sqlite3.DatabaseError as error:
            self._db.close()
            _raise_for(error)
        except Damaged:
            self._db.close()
            raise

    def _prepare(self, boot_id: str, *, fresh: bool, check: bool) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        [version] = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0 and fresh:
            with self._transaction():
                for statement in _SCHEMA.strip().rstrip(";").split(";\n"):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO counter VALUES (1, 1, 1, ?)", (boot_id,))
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            sync_folder(self._path.parent)
        elif version != SCHEMA_VERSION:
            raise Damaged(f"schema version {version}")
        elif (
            check and (flaw := self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok"
        ):
            raise Damaged(flaw)
        self._settle_counter(boot_id)

    def _settle_counter(self, boot_id: str) -> None:
        """After a power cut the last `next` may be lost: go on above all that were set aside."""
        with self._transaction():
            self._db.execute(
                "UPDATE counter SET next = ceiling, boot_id = ? WHERE boot_id <> ?",
                (boot_id, boot_id),
            )

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[None]:
        try:
            if not durable:
                self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._give_up()
            _raise_for(error)
        except BaseException:
            self._give_up()
            raise
        finally:
            if not durable:
                self._db.execute("PRAGMA synchronous = FULL")

    def _give_up(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    # -- brain

    def load(self) -> bytes | None:
        row = self._db.execute("SELECT state FROM brain").fetchone()
        return row[0] if row else None

    def save(self, state: bytes, *, durable: bool, notes: Sequence[EventV1] = ()) -> None:
        with self._transaction(durable=durable):
            self._db.execute("INSERT OR REPLACE INTO brain VALUES (1, ?)", (state,))
            if notes:
                rows = [(_encode(note),) for note in notes]
                self._db.executemany("INSERT INTO event (body) VALUES (?)", rows)
                self._db.execute(
                    "DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?",
                    (EVENTS_KEPT,),
                )

    # -- counters

    def take_counter(self) -> int:
        [number, ceiling] = self._db.execute("SELECT next, ceiling FROM counter").fetchone()
        full = number >= ceiling
        with self._transaction(durable=full):
            if full:
                self._db.execute("UPDATE counter SET ceiling = ?", (number + COUNTER_BLOCK,))
            self._db.execute("UPDATE counter SET next = ?", (number + 1,))
        return int(number)

    def jump_counter(self, expected: int) -> None:
        with self._transaction():
            self._db.execute(
                "UPDATE counter SET next = max(next, :to), ceiling = max(ceiling, :to)",
                {"to": expected},
            )

    # -- reports

    def acknowledged(self) -> States | None:
        row = self._db.execute(
            "SELECT lineage, digest, required, installed, unknown FROM acknowledged"
        ).fetchone()
        return _states(row) if row else None

    def pending(self) -> PendingReport | None:
        row = self._db.execute(
            "SELECT counter, body, whole, restored, events_to, has_states,"
            " lineage, digest, required, installed, unknown FROM pending"
        ).fetchone()
        if row is None:
            return None
        return PendingReport(
            counter=row[0],
            body=row[1],
            full=bool(row[2]),
            restored=bool(row[3]),
            events_to=row[4],
            states=_states(row[6:]) if row[5] else None,
        )

    def queue(self, report: PendingReport) -> None:
        if len(report.body) > REPORT_LIMIT:
            raise JournalFailed(f"a report of {len(report.body)} bytes is too large")
        states = report.states
        sets = (
            (states.lineage, states.digest, states.required, states.installed, states.unknown)
            if states
            else (None,) * 5
        )
        self._make_sure_of_space(len(report.body) + sum(len(s) for s in sets if s))
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO pending VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    report.counter,
                    report.body,
                    report.full,
                    report.restored,
                    report.events_to,
                    states is not None,
                    *sets,
                ),
            )

    def acknowledge(self) -> None:
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO acknowledged SELECT 1, lineage, digest, required,"
                " installed, unknown FROM pending WHERE has_states"
            )
            self._db.execute("DELETE FROM event WHERE id <= (SELECT events_to FROM pending)")
            self._db.execute("DELETE FROM pending")

    def drop_pending(self) -> None:
        with self._transaction():
            self._db.execute("DELETE FROM pending")

    def events(self, limit: int) -> Sequence[tuple[int, EventV1]]:
        rows = self._db.execute("SELECT id, body FROM event ORDER BY id LIMIT ?", (limit,))
        return [(number, _event.decode(body)) for number, body in rows]

    # -- shards

    def shards(self) -> Mapping[str, ShardHead]:
        rows = self._db.execute("SELECT name, lineage, serial FROM shard")
        return {name: ShardHead(lineage=lineage, serial=serial) for name, lineage, serial in rows}

    def leaves(self, shard: str) -> Iterator[tuple[int, int, bytes]]:
        return self._db.execute(
            "SELECT number, revision, body FROM leaf WHERE shard = ? ORDER BY number", (shard,)
        )

    def change_shard(self, shard: str, change: ShardChange) -> None:
        self._make_sure_of_space(2 * sum(len(body) + 32 for _, _, body in change.upserts))
        with self._transaction():
            if change.whole:
                self._db.execute("DELETE FROM leaf WHERE shard = ?", (shard,))
            self._db.executemany(
                "DELETE FROM leaf WHERE shard = ? AND number = ?",
                [(shard, number) for number in change.drops],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO leaf VALUES (?, ?, ?, ?)",
                [(shard, *row) for row in change.upserts],
            )
            self._db.execute(
                "INSERT OR REPLACE INTO shard VALUES (?, ?, ?)",
                (shard, change.head.lineage, change.head.serial),
            )

    # -- policy

    def policy(self) -> tuple[bytes, Mapping[bytes, bytes]]:
        fragments = dict(self._db.execute("SELECT name, body FROM policy"))
        return fragments.pop(b"", b""), fragments

    def keep_policy(self, envelope: bytes, fragments: Mapping[bytes, bytes]) -> None:
        rows = [(b"", envelope), *fragments.items()]
        self._make_sure_of_space(sum(len(body) for _, body in rows))
        with self._transaction():
            self._db.execute("DELETE FROM policy")
            self._db.executemany("INSERT INTO policy VALUES (?, ?)", rows)

    def _make_sure_of_space(self, wanted: int) -> None:
        """Refuse before the first byte what the disk cannot hold."""
        disk = os.statvfs(self._path.parent)
        free = disk.f_bavail * disk.f_frsize
        if wanted + SPARE_BYTES > free:
            raise NoSpace(f"{wanted} bytes are wanted and {free} are free")


def open_journal(path: Path, *, boot_id: str, check: bool = True) -> tuple[SqliteJournal, bool]:
    """Return the journal, and whether its state was lost: moved aside and begun anew.

    A deleted journal counts as lost when its folder says that there was one.
    """
    private_folder(path.parent)
    marker = path.with_name(f"{path.name}.made")
    lost = marker.exists() and not path.exists()
    try:
        journal = SqliteJournal(path, boot_id=boot_id, check=check)
    except Damaged:
        _move_aside(path)
        # Without the marker its making was interrupted: nothing was in it yet.
        journal, lost = SqliteJournal(path, boot_id=boot_id), marker.exists()
    if not marker.exists():
        os.close(os.open(marker, os.O_WRONLY | os.O_CREAT, FILE_MODE))
        sync_folder(path.parent)
    return journal, lost


def _create(path: Path) -> bool:
    """Make the file with its rights before SQLite does; return whether it is new."""
    if path.exists() and path.stat().st_size == 0 and not _wal(path).exists():
        return not path.with_name(f"{path.name}.made").exists()
    if path.exists():
        return False
    # The log of a database that is gone says nothing about the one that is made now.
    for leftover in (_wal(path), path.with_name(f"{path.name}-shm")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
    return True


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _move_aside(path: Path) -> None:
    """Keep the last damaged journal for whoever wants to look at it; one is enough."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        old = path.with_name(name)
        if old.exists():
            old.replace(path.with_name(f"{name}.damaged"))
    sync_folder(path.parent)


def _states(row: Sequence[bytes]) -> States:
    lineage, digest, required, installed, unknown = row
    return States(
        lineage=lineage, digest=digest, required=required, installed=installed, unknown=unknown
    )


def _raise_for(error: sqlite3.DatabaseError) -> NoReturn:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        raise Damaged(str(error)) from error
    if code == sqlite3.SQLITE_FULL:
        raise NoSpace from error
    raise JournalFailed(str(error)) from error
