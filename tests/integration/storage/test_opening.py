"""Opening a database: its files, its connections, and what each role may do."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from patchtide.adapters.storage import Storage
from patchtide.adapters.storage.engines import open_readers, parse_url
from patchtide.adapters.storage.grants import AGENTS_MAY
from patchtide.domain.errors import InvalidDocument, Unavailable
from patchtide.server.ports.reports import Accepted, Outcome, Presence
from tests.simulator.databases import Postgres
from tests.simulator.reports import NOON, a_report, enrolled

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("umask", [0o000, 0o777])
async def test_no_file_of_the_database_is_for_others(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        storage = Storage.open(f"sqlite:///{tmp_path}/home/patchtide.db")
        await enrolled(storage)
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "home").iterdir()}
    finally:
        os.umask(before)
    await storage.close()

    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    assert modes == dict.fromkeys(["patchtide.db", "patchtide.db-wal", "patchtide.db-shm"], 0o600)


async def test_sqlite_is_opened_to_lose_nothing(tmp_path: Path) -> None:
    storage = Storage.open(f"sqlite:///{tmp_path}/home/patchtide.db")
    await enrolled(storage)

    with storage._write_engine.connect() as connection:
        said = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    await storage.close()

    assert said == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


async def test_readers_cannot_write(storage: Storage, database_url: str) -> None:
    readers = open_readers(parse_url(database_url))
    with pytest.raises(DBAPIError, match=r"read.?only"), readers.begin() as connection:
        connection.execute(text("DELETE FROM audit"))
    readers.dispose()


async def test_a_read_that_takes_too_long_is_ended(
    storage: Storage, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patchtide.adapters.storage.engines.READ_LIMIT_S", 0.2)
    readers = open_readers(parse_url(database_url))
    monkeypatch.setattr(storage, "_readers", readers)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
    started = time.monotonic()

    with pytest.raises(Unavailable):
        storage._read(lambda c: c.execute(text(endless)).scalar())

    assert time.monotonic() - started < 3
    readers.dispose()


async def test_readers_see_nothing_half_done_and_never_wait(tmp_path: Path) -> None:
    storage = Storage.open(f"sqlite:///{tmp_path}/home/patchtide.db")
    await enrolled(storage)
    other = sqlite3.connect(tmp_path / "home/patchtide.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE client SET name = 'half done'")

    assert [c.name for c in storage.clients()] == ["web-0"]

    other.execute("ROLLBACK")
    other.close()
    await storage.close()


@pytest.mark.parametrize("url", ["mysql://root@127.0.0.1/x", "sqlite://", "nonsense"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(InvalidDocument):
        Storage.open(url)


async def test_a_closed_storage_takes_nothing(storage: Storage) -> None:
    await storage.close()

    with pytest.raises(Unavailable):
        await storage.accept([a_report(1, 1)], now=1.0)


PRIVILEGES = """
    SELECT c.relname, p.privilege FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
    CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'),
                       ('REFERENCES'), ('TRIGGER')) AS p (privilege)
    WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S')
      AND has_table_privilege('agents', c.oid, p.privilege)
"""
ROLE = """
    SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
           has_schema_privilege('agents', 'public', 'CREATE'),
           has_database_privilege('agents', current_database(), 'CREATE'),
           has_database_privilege('agents', current_database(), 'TEMPORARY')
    FROM pg_catalog.pg_roles WHERE rolname = 'agents'
"""


@pytest.fixture
def two_roles(postgres_server: Postgres) -> tuple[str, str]:
    """The addresses of one database for its owner and for the agents' role."""
    postgres_server.execute(
        "DO $$ BEGIN CREATE ROLE agents LOGIN; EXCEPTION WHEN duplicate_object THEN END $$"
    )
    owner = postgres_server.create()
    Storage.migrate(owner, half="post")
    Storage.grant_agents(owner, role="agents")
    return owner, owner.replace("postgres@", "agents@")


def test_the_agents_role_may_do_what_the_list_says_and_no_more(two_roles: tuple[str, str]) -> None:
    readers = open_readers(parse_url(two_roles[0]))
    with readers.begin() as connection:
        found = {(table, right) for table, right in connection.execute(text(PRIVILEGES))}
        powers = connection.execute(text(ROLE)).one()
    readers.dispose()

    assert found == {(table, right) for table, rights in AGENTS_MAY.items() for right in rights}
    assert tuple(powers) == (False,) * 8


async def test_reports_are_taken_by_the_agents_role(two_roles: tuple[str, str]) -> None:
    owner, agents = two_roles
    storage = Storage.open(owner, agents_url=agents)
    [client] = await enrolled(storage)

    answers = await storage.accept([a_report(client.number, 1, events=b"\x90")], now=1.0)
    await storage.flush_presence([Presence(client=client.number, counter=2, seen_at=1.0)])
    body = b"packages"
    digest = sha256(body).digest()
    for _ in range(2):
        await storage.put_inventory(client.number, kind="p", digest=digest, body=body, now=1.0)

    assert answers == [Accepted(Outcome.ACCEPTED)]
    assert storage.standings_after(0, limit=10)[0].counter == 2
    assert storage.inventory(client.number, "p") == body
    await storage.close()


async def test_the_database_is_waited_for_after_its_restart(tmp_path: Path) -> None:
    from tests.simulator.databases import postgres

    with postgres() as server:
        storage = Storage.open(server.create())
        [client] = await enrolled(storage)
        server.stop()

        with pytest.raises(Unavailable):
            await storage.accept([a_report(client.number, 1)], now=1.0)
        server.start()

        assert await storage.accept([a_report(client.number, 1)], now=2.0) == [
            Accepted(Outcome.ACCEPTED)
        ]
        assert storage.standings_after(0, limit=10)[0].counter == 1
        assert storage.audit()[0].at == NOON
        await storage.close()


async def test_a_closed_sqlite_database_is_one_file_that_holds_everything(tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / str(number)
        storage = Storage.open(f"sqlite:///{folder}/patchtide.db")
        await enrolled(storage)
        assert len(storage.audit()) > 0

        await storage.close()

        assert [path.name for path in folder.iterdir()] == ["patchtide.db"]
