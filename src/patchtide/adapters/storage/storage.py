"""The ports over one database: opened by URL, migrated, written by one thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import TypeVar

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, OperationalError

from patchtide.adapters.storage import audit_chain, decisions, reading, reports, ticket, upkeep
from patchtide.adapters.storage.engines import open_readers, open_writer, parse_url
from patchtide.adapters.storage.migrate import migrate
from patchtide.adapters.storage.tables import client_inventory, inventory_blob
from patchtide.adapters.storage.writer import Writer
from patchtide.domain.errors import InvalidDocument, Problem, Unavailable
from patchtide.server.ports.storage import (
    Accepted,
    ApiToken,
    AuditEntry,
    AuditFlaw,
    Client,
    Cursor,
    EnrolmentToken,
    IncomingReport,
    Presence,
    Standing,
    StateDelta,
    StateRow,
    StoredLeaf,
    Transaction,
)

T = TypeVar("T")
TRIES = 5
SLICE_ROWS = 500
_AGAIN = frozenset({"40001", "40P01"})


class Storage:
    """Decisions, Reports, Reading and Lookups over SQLite or PostgreSQL."""

    def __init__(
        self, writer: Engine, reporter: Engine, readers: Engine, seal: audit_chain.Seal
    ) -> None:
        self._seal = seal
        self._write_engine = writer
        self._report_engine = reporter
        self._readers = readers
        self._writer = Writer(self._take_group)

    @classmethod
    def open(
        cls, url: str, *, agents_url: str = "", seal: audit_chain.Seal = audit_chain.NO_SEAL
    ) -> Storage:
        """Open the database, made or migrated as needed.

        `agents_url` (PostgreSQL) is the same database by a role that may do nothing but take
        reports. On SQLite there are no roles: everything goes through the one writer.
        """
        parsed = parse_url(url)
        engine = open_writer(parsed)
        migrate(engine)
        with engine.begin() as connection:
            ticket.ensure(connection)
        reporter = open_writer(parse_url(agents_url)) if agents_url else engine
        return cls(engine, reporter, open_readers(parsed), seal)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        for engine in {self._readers, self._report_engine, self._write_engine}:
            engine.dispose()

    # Decisions

    async def decide(
        self, actor: str, operation: str, work: Callable[[Transaction], T], *, now: datetime
    ) -> T:
        return await self._writer.decide(
            lambda: _committed(
                self._write_engine,
                lambda c: decisions.decide(c, actor, operation, work, now=now),
            )
        )

    # Reports

    async def accept(self, reports: Sequence[IncomingReport], *, now: float) -> Sequence[Accepted]:
        waiting = [self._writer.report((report, now)) for report in reports]
        return list(await asyncio.gather(*waiting))

    def _take_group(self, group: Sequence[tuple[IncomingReport, float]]) -> Sequence[Accepted]:
        return _committed(
            self._report_engine,
            lambda c: reports.accept(c, [g[0] for g in group], times=[g[1] for g in group]),
        )

    async def flush_presence(self, seen: Sequence[Presence]) -> None:
        for start in range(0, len(seen), SLICE_ROWS):
            part = seen[start : start + SLICE_ROWS]
            await self._bulk_reports(lambda c, part=part: reports.flush_presence(c, part))  # type: ignore[misc]

    async def put_inventory(
        self, client: int, *, kind: str, digest: bytes, body: bytes, now: float
    ) -> None:
        if sha256(body).digest() != digest:
            raise InvalidDocument([Problem("digest", "is not that of the body")])
        await self._bulk_reports(
            lambda c: _put_inventory(c, client, kind=kind, digest=digest, body=body, now=now)
        )

    async def _bulk_reports(self, work: Callable[[Connection], None]) -> None:
        await self._writer.bulk(lambda: _committed(self._report_engine, work))

    # Upkeep

    async def trim(self, *, now: float) -> None:
        """Remove what has had its time, a slice at a time."""
        for work in upkeep.slices(now):
            while await self._writer.bulk(
                lambda work=work: _committed(self._write_engine, work)  # type: ignore[misc]
            ):
                pass

    async def checkpoint_audit(self, *, now: datetime) -> bool:
        """Seal the audit as it stands; hourly, and at shutdown."""
        return await self._writer.bulk(
            lambda: _committed(
                self._write_engine, lambda c: audit_chain.checkpoint(c, self._seal.sign, now=now)
            )
        )

    async def mark_restored(self) -> None:
        """Begin a new epoch: the database is older than what the fleet has seen."""
        await self._writer.decide(lambda: _committed(self._write_engine, upkeep.ask_everybody))

    # Reading and Lookups

    def standings(self, uuids: Sequence[bytes] | None = None) -> Sequence[Standing]:
        return self._read(lambda c: reading.standings(c, uuids))

    def clients(
        self, *, after: int = 0, limit: int = 100, search: str = "", state: str = ""
    ) -> Sequence[Client]:
        return self._read(
            lambda c: reading.clients(c, after=after, limit=limit, search=search, state=state)
        )

    def states(self, *, after: int = 0, limit: int = 1000) -> Sequence[StateRow]:
        return self._read(lambda c: reading.states(c, after=after, limit=limit))

    def deltas(self, cursor: Cursor, *, limit: int = 1000) -> tuple[Cursor, Sequence[StateDelta]]:
        return self._read(lambda c: reading.deltas(c, cursor, limit=limit))

    def audit(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditEntry]:
        return self._read(lambda c: reading.audit_entries(c, after=after, limit=limit))

    def verify_audit(self) -> AuditFlaw | None:
        return self._read(lambda c: audit_chain.verify(c, self._seal.check))

    def api_token(self, secret_hash: bytes) -> ApiToken | None:
        return self._read(lambda c: reading.api_token_by_hash(c, secret_hash))

    def api_tokens(self) -> Sequence[ApiToken]:
        return self._read(reading.api_tokens)

    def enrolment_tokens(self) -> Sequence[EnrolmentToken]:
        return self._read(reading.enrolment_tokens)

    def setting(self, name: str) -> bytes | None:
        return self._read(lambda c: reading.setting_value(c, name))

    def leaves(self, shard: str, *, after: int = 0) -> Sequence[StoredLeaf]:
        return self._read(lambda c: reading.leaves(c, shard, after=after))

    def drops(self, shard: str, *, after: int = 0) -> Sequence[int]:
        return self._read(lambda c: reading.drops(c, shard, after=after))

    def shards(self) -> Sequence[str]:
        return self._read(reading.shards)

    def epoch(self) -> Cursor:
        return self._read(ticket.position)

    def _read(self, question: Callable[[Connection], T]) -> T:
        try:
            with self._readers.begin() as connection:
                return question(connection)
        except OperationalError as error:
            raise Unavailable("the database does not answer") from error


def _committed(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Run the work in one transaction; once more where the database asks for it.

    Raises:
        Unavailable: the database cannot be reached, or is busy beyond patience.
    """
    for attempt in range(TRIES):
        try:
            with engine.begin() as connection:
                return work(connection)
        except DBAPIError as error:
            again = getattr(error.orig, "sqlstate", None) in _AGAIN
            if again and attempt + 1 < TRIES:
                time.sleep(0.01 * 2**attempt)
                continue
            if again or isinstance(error, OperationalError):
                raise Unavailable("the database does not answer") from error
            raise
    raise Unavailable


def _put_inventory(
    connection: Connection, client: int, *, kind: str, digest: bytes, body: bytes, now: float
) -> None:
    mine = (client_inventory.c.client == client) & (client_inventory.c.kind == kind)
    known = select(inventory_blob.c.digest).where(inventory_blob.c.digest == digest)
    if connection.execute(known).first() is None:
        connection.execute(insert(inventory_blob).values(digest=digest, body=body))
    old = connection.execute(select(client_inventory.c.digest).where(mine)).scalar()
    values = {"digest": digest, "at": now}
    if old is None:
        row = {"client": client, "kind": kind, **values}
        connection.execute(insert(client_inventory).values(row))
        return
    connection.execute(update(client_inventory).where(mine).values(values))
    if old != digest:
        held = select(client_inventory.c.client).where(client_inventory.c.digest == old)
        if connection.execute(held.limit(1)).first() is None:
            connection.execute(delete(inventory_blob).where(inventory_blob.c.digest == old))
