"""Reports into the database, without the network: in batches, and one by one from many callers.

The baseline is the plain database: rows of the same size, in transactions of the same length,
by the driver alone.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import psycopg

from patchtide.adapters.storage import Storage
from patchtide.server.ports.clients import ClientState, NewClient
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.reports import IncomingReport, Outcome, Presence
from patchtide.wire.sets import decode_set, encode_set, state_digest
from tests.simulator.databases import postgres_url

BATCH = 256
MACHINES = 40 * BATCH
CALLERS = 512
LINEAGE = bytes(16)
COLUMNS = "digest, required, installed, unknown, shards, boot_id, scan"


def first_report(number: int) -> IncomingReport:
    """300 states, as a fresh machine against a shard of 3,000 leaves would have them."""
    numbers = random.Random(number).sample(range(70_000, 73_000), 300)
    required, installed = encode_set(numbers[:40]), encode_set(numbers[40:])
    return IncomingReport(
        client=number,
        counter=1,
        lineage=LINEAGE,
        digest=state_digest(lineage=LINEAGE, required=required, installed=installed, unknown=b""),
        base=None,
        required=required,
        installed=installed,
        unknown=b"",
        gone=b"",
        has_states=True,
        shards=b"\x81\xa9debian-12\x01",
        boot_id="00000000-0000-0000-0000-000000000000",
        scan="completed",
        scanned_at=1,
        scan_error="",
        restored=False,
        aged_catalog=False,
    )


def small_change(report: IncomingReport) -> IncomingReport:
    """One update was installed."""
    moved = encode_set([75_000])
    installed = encode_set([*decode_set(report.installed), 75_000])
    digest = state_digest(
        lineage=LINEAGE, required=report.required, installed=installed, unknown=b""
    )
    return IncomingReport(
        **{
            **{name: getattr(report, name) for name in IncomingReport.__dataclass_fields__},
            "counter": 2,
            "base": report.digest,
            "digest": digest,
            "required": b"",
            "installed": moved,
        }
    )


async def enrol(storage: Storage, count: int) -> list[int]:
    numbers: list[int] = []
    for start in range(0, count, 300):
        part = range(start, min(start + 300, count))

        def work(tx: Transaction, part: Sequence[int] = part) -> list[int]:
            return [tx.add_client(_machine(n), now=datetime.now(UTC)).number for n in part]

        numbers += await storage.decide("bench", "machines.enrol", work, now=datetime.now(UTC))
    return numbers


def _machine(number: int) -> NewClient:
    key = sha256(f"key {number}".encode()).digest()
    return NewClient(
        uuid=key[:16],
        name=f"m{number}",
        public_key=key,
        machine=key,
        site="main",
        state=ClientState.ACTIVE,
    )


async def in_batches(storage: Storage, reports: Sequence[IncomingReport]) -> float:
    started = time.perf_counter()
    for start in range(0, len(reports), BATCH):
        answers = await storage.accept(reports[start : start + BATCH], now=time.time())
        assert all(a.outcome is Outcome.ACCEPTED for a in answers)
    return len(reports) / (time.perf_counter() - started)


async def one_by_one(storage: Storage, reports: Sequence[IncomingReport]) -> float:
    """Many callers, each with one report at a time: what the group commit is for."""
    waiting = iter(reports)

    async def caller() -> None:
        for report in waiting:
            [answer] = await storage.accept([report], now=time.time())
            assert answer.outcome is Outcome.ACCEPTED

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return len(reports) / (time.perf_counter() - started)


async def presence(storage: Storage, numbers: Sequence[int]) -> float:
    seen = [Presence(client=n, counter=9, seen_at=1.0, health=bytes(40)) for n in numbers]
    started = time.perf_counter()
    await storage.flush_presence(seen)
    return len(seen) / (time.perf_counter() - started)


def plain_rows(reports: Sequence[IncomingReport]) -> list[tuple[object, ...]]:
    return [
        (r.digest, r.required, r.installed, r.unknown, r.shards, r.boot_id, r.scan) for r in reports
    ]


def plain_sqlite(folder: Path, reports: Sequence[IncomingReport]) -> float:
    database = sqlite3.connect(folder / "plain.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    for table in ("a", "b"):
        database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, {COLUMNS})")
    rows = plain_rows(reports)
    started = time.perf_counter()
    for start in range(0, len(rows), BATCH):
        database.execute("BEGIN IMMEDIATE")
        for table in ("a", "b"):
            insert = f"INSERT INTO {table} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
            database.executemany(insert, rows[start : start + BATCH])
        database.execute("COMMIT")
    rate = len(rows) / (time.perf_counter() - started)
    database.close()
    return rate


def plain_postgres(url: str, reports: Sequence[IncomingReport]) -> float:
    rows = plain_rows(reports)
    with psycopg.connect(url, autocommit=True) as database:
        for table in ("plain_a", "plain_b"):
            database.execute(
                f"CREATE TABLE {table} (id BIGSERIAL PRIMARY KEY, digest BYTEA, required BYTEA,"
                " installed BYTEA, unknown BYTEA, shards BYTEA, boot_id TEXT, scan TEXT)".encode()
            )
        started = time.perf_counter()
        for start in range(0, len(rows), BATCH):
            with database.transaction(), database.cursor() as cursor:
                for table in ("plain_a", "plain_b"):
                    insert = f"INSERT INTO {table} ({COLUMNS}) VALUES (%s,%s,%s,%s,%s,%s,%s)"
                    cursor.executemany(insert.encode(), rows[start : start + BATCH])
        return len(rows) / (time.perf_counter() - started)


def line(name: str, measured: float, budget: int, baseline: float) -> None:
    told = f">= {budget:,}/s" if budget else "-"
    print(f"{name}\t{measured:,.0f}/s\t{told}\t{baseline:,.0f}/s")


async def measure(kind: str, url: str, budget: int, baseline: float) -> None:
    storage = Storage.open(url)
    numbers = await enrol(storage, 2 * MACHINES)
    reports = [first_report(number) for number in numbers]
    line(
        f"{kind}: first reports in batches of {BATCH}",
        await in_batches(storage, reports[:MACHINES]),
        budget,
        baseline,
    )
    line(
        f"{kind}: first reports from {CALLERS} callers",
        await one_by_one(storage, reports[MACHINES:]),
        budget // 2,
        baseline,
    )
    changes = [small_change(report) for report in reports[:MACHINES]]
    line(f"{kind}: differences", await in_batches(storage, changes), 0, baseline)
    line(f"{kind}: presences", await presence(storage, numbers), 0, baseline)
    await storage.close()


def main() -> None:
    reports = [first_report(number) for number in range(MACHINES)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        baseline = plain_sqlite(folder, reports)
        asyncio.run(measure("SQLite", f"sqlite:///{folder}/home/patchtide.db", 15_000, baseline))
    with postgres_url() as url:
        baseline = plain_postgres(url, reports)
        asyncio.run(measure("PostgreSQL", url, 6_000, baseline))


if __name__ == "__main__":
    main()
