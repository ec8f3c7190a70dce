"""The ports over one database: opened by URL, migrated, written by one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from hashlib import sha256
from time import monotonic
from typing import TypeVar

from sqlalchemy import Connection, Engine

from patchtide.adapters.storage import (
    accounts,
    audit_chain,
    audit_segments,
    catalog,
    decisions,
    engines,
    following,
    inventory,
    reading,
    reports,
    ticket,
    upkeep,
)
from patchtide.adapters.storage.alerts import AlertReads
from patchtide.adapters.storage.audit_chain import Seal
from patchtide.adapters.storage.beside import Beside, Group, Nobody, take
from patchtide.adapters.storage.calendar import CalendarReads
from patchtide.adapters.storage.collections import CollectionReads
from patchtide.adapters.storage.fact_history import FactHistoryRows
from patchtide.adapters.storage.fleet_reads import FleetReads
from patchtide.adapters.storage.grants import grant_agents
from patchtide.adapters.storage.history import HistoryReads
from patchtide.adapters.storage.migrate import Half, migrate
from patchtide.adapters.storage.outbox import OutboxReads
from patchtide.adapters.storage.proposals import ProposalReads
from patchtide.adapters.storage.security_keys import KeyReads
from patchtide.adapters.storage.transactions import committed
from patchtide.adapters.storage.update_lists import ListReads
from patchtide.adapters.storage.writer import GROUP, Rank, Writer
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.ports.accounts import Session, SignInLink, User
from patchtide.server.ports.api_tokens import ApiToken
from patchtide.server.ports.audit import AuditEntry, AuditFlaw, AuditSegment, LostDecision
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.server.ports.clients import Client, EnrolmentToken, Standing
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.following import Cursor, DecisionEvent, StateDelta
from patchtide.server.ports.reports import (
    Accepted,
    HeldInventory,
    IncomingReport,
    Presence,
    StateRow,
)

T = TypeVar("T")
SLICE_ROWS = 500


class Storage(FleetReads):
    """Decisions, Reports, Reading, Lookups and FleetStore over SQLite or PostgreSQL."""

    def __init__(
        self, writer: Engine, reporter: Engine, readers: Engine, seal: Seal, beside: Beside
    ) -> None:
        super().__init__(readers)
        self.when_taken: Callable[[Sequence[Accepted], float], None] = lambda taken, seconds: None
        """Told of each group of reports and how long it took, in the writer's thread."""
        self._seal, self._beside = seal, beside
        self._decided = 0
        self._write_engine = writer
        self._report_engine = reporter
        self.update_lists = ListReads(self._read)
        self.fleet_history = HistoryReads(self._read)
        self.alerts = AlertReads(self._read)
        self.collections = CollectionReads(self._read)
        self.calendar = CalendarReads(self._read)
        self.outbox = OutboxReads(self._read)
        self.proposals = ProposalReads(self._read)
        self.fact_history = FactHistoryRows(self._read, partial(self._write, Rank.BULK))
        self.security_keys = KeyReads(self._read)
        self._writer = Writer(self._take_group)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        agents_url: str = "",
        seal: Seal = audit_chain.NO_SEAL,
        beside: Beside | None = None,
    ) -> Storage:
        """Open the database, made or migrated as needed.

        `agents_url` (PostgreSQL) is the same database by a role that may do nothing but take
        reports. On SQLite there are no roles: everything goes through the one writer.
        `beside` takes groups of reports in the writer's stead; it is closed with the rest.
        """
        parsed = engines.parse_url(url)
        engine = engines.open_writer(parsed)
        # With several nodes, others may still run the old version: what it needs must stay.
        migrate(engine, half="post" if engines.is_sqlite(parsed) else "pre")
        with engine.begin() as connection:
            ticket.ensure(connection)
        reporter = engines.open_writer(engines.parse_url(agents_url)) if agents_url else engine
        return cls(engine, reporter, engines.open_readers(parsed), seal, beside or Nobody())

    @staticmethod
    def migrate(url: str, *, half: Half) -> None:
        """Bring a database to the newest schema of that half, from outside of any server."""
        with engines.writing(url) as engine:
            migrate(engine, half=half)

    @staticmethod
    def grant_agents(url: str, *, role: str) -> None:
        """Set what the agents' role may do, as the owner of the tables (PostgreSQL)."""
        with engines.writing(url) as engine:
            grant_agents(engine, role)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        self._beside.close()
        # The writer last: whoever closes an SQLite file last folds its log into it, and one who
        # may only read cannot. What was committed would then lie beside the file.
        for engine in (self._readers, self._report_engine, self._write_engine):
            engine.dispose()

    # Decisions

    async def decide(
        self, actor: str, operation: str, work: Callable[[Transaction], T], *, now: datetime
    ) -> T:
        try:
            return await self._write(
                Rank.DECISION, lambda c: decisions.decide(c, actor, operation, work, now=now)
            )
        finally:
            self._decided += 1  # whatever became of it: one too many does no harm

    def decided_here(self) -> int:
        return self._decided

    async def _write(self, rank: Rank, work: Callable[[Connection], T]) -> T:
        return await self._writer.run(rank, lambda: committed(self._write_engine, work))

    async def keep_cursor(self, follower: str, cursor: Cursor) -> None:
        """Remember up to where a follower has read; the log is kept for it from there."""
        await self._write(Rank.BULK, lambda c: following.keep_cursor(c, follower, cursor))

    # Reports

    async def accept(self, reports: Sequence[IncomingReport], *, now: float) -> Sequence[Accepted]:
        timed = [(report, now) for report in reports]
        parts = [timed[start : start + GROUP] for start in range(0, len(timed), GROUP)]
        if len(parts) == 1:
            return await self._writer.report(parts[0])
        answers = await asyncio.gather(*(self._writer.report(part) for part in parts))
        return [answer for part in answers for answer in part]

    def _take_group(self, group: Group) -> Sequence[Accepted]:
        began = monotonic()
        taken = self._beside(group)
        if taken is None:
            taken = take(self._report_engine, group)
        self.when_taken(taken, monotonic() - began)
        return taken

    def waiting(self) -> Mapping[str, int]:
        """Return how much waits for the writer, by what it is."""
        return self._writer.waiting()

    async def flush_presence(self, seen: Sequence[Presence]) -> None:
        for start in range(0, len(seen), SLICE_ROWS):
            part = seen[start : start + SLICE_ROWS]
            await self._as_agent(Rank.PRESENCE, partial(reports.flush_presence, seen=part))

    async def put_inventory(
        self, client: int, *, kind: str, digest: bytes, body: bytes, now: float
    ) -> None:
        if await asyncio.to_thread(lambda: sha256(body).digest()) != digest:
            raise InvalidDocument([Problem("digest", "is not that of the body")])
        await self._as_agent(
            Rank.BULK,
            lambda c: inventory.put(c, client, kind=kind, digest=digest, body=body, now=now),
        )

    async def hold_inventory(self, held: Sequence[HeldInventory]) -> frozenset[bytes]:
        """Note who has which body; return the digests whose body is gone.

        Not as the agents' role: that may store bodies, but not even ask which there are.
        """
        gone: frozenset[bytes] = frozenset()
        for start in range(0, len(held), SLICE_ROWS):
            part = held[start : start + SLICE_ROWS]
            gone |= await self._write(Rank.PRESENCE, partial(inventory.hold, held=part))
        return gone

    async def _as_agent(self, rank: Rank, work: Callable[[Connection], None]) -> None:
        await self._writer.run(rank, lambda: committed(self._report_engine, work))

    # Upkeep

    async def trim(self, *, now: float) -> None:
        """Remove what has had its time, a slice at a time."""
        for work in upkeep.slices(now):
            while await self._write(Rank.BULK, work):
                pass

    async def checkpoint_audit(self, *, now: datetime) -> bool:
        """Seal the audit as it stands; hourly, and at shutdown."""
        return await self._write(
            Rank.BULK, lambda c: audit_chain.checkpoint(c, self._seal.sign, now=now)
        )

    # Reading and Lookups

    def standings(self, uuids: Sequence[bytes]) -> Sequence[Standing]:
        return self._read(lambda c: reading.standings(c, uuids))

    def standings_after(self, number: int, *, limit: int) -> Sequence[Standing]:
        return self._read(lambda c: reading.standings_after(c, number, limit=limit))

    def clients(
        self, *, after: int = 0, limit: int = 100, search: str = "", state: str = ""
    ) -> Sequence[Client]:
        return self._read(
            lambda c: reading.clients(c, after=after, limit=limit, search=search, state=state)
        )

    def states(self, *, after: int = 0, limit: int = 1000) -> Sequence[StateRow]:
        return self._read(lambda c: reading.states(c, after=after, limit=limit))

    def deltas(self, cursor: Cursor, *, limit: int = 1000) -> tuple[Cursor, Sequence[StateDelta]]:
        return self._read(lambda c: following.deltas(c, cursor, limit=limit))

    def reporters(self, cursor: Cursor, *, limit: int = 1000) -> tuple[Cursor, Sequence[int]]:
        return self._read(lambda c: following.reporters(c, cursor, limit=limit))

    def audit(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditEntry]:
        return self._read(lambda c: reading.audit_entries(c, after=after, limit=limit))

    def decided(
        self, cursor: Cursor, *, limit: int = 1000
    ) -> tuple[Cursor, Sequence[DecisionEvent]]:
        return self._read(lambda c: following.decisions(c, cursor, limit=limit))

    def verify_audit(self) -> AuditFlaw | None:
        return audit_chain.verify(self._readers, self._seal.check)

    def audit_segment(self, *, after: int = 0) -> AuditSegment | None:
        """Return what follows that entry, signed, to be archived elsewhere; None at the end."""
        return self._read(lambda c: audit_segments.export(c, self._seal.sign, after=after))

    def lost_decisions(self, segments: Iterable[bytes]) -> Sequence[LostDecision]:
        return self._read(lambda c: audit_segments.lost(c, self._seal.check, segments))

    def audit_archived(self) -> int:
        """Return the last entry that is in a segment kept elsewhere."""
        return int(self.setting(upkeep.ARCHIVED) or 0)

    async def note_archived(self, sequence: int) -> None:
        await self._write(Rank.BULK, lambda c: upkeep.remember(c, upkeep.ARCHIVED, sequence))

    def inventory(self, client: int, kind: str) -> bytes | None:
        return self._read(lambda c: reading.inventory(c, client, kind))

    def inventory_digests(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[bytes]:
        return self._read(lambda c: reading.inventory_digests(c, after=after, limit=limit))

    def events(self, client: int) -> Sequence[tuple[int, bytes]]:
        return self._read(lambda c: reading.events(c, client))

    def api_token(self, secret_hash: bytes) -> ApiToken | None:
        return self._read(lambda c: reading.api_token_by_hash(c, secret_hash))

    def api_tokens(self) -> Sequence[ApiToken]:
        return self._read(reading.api_tokens)

    def user_named(self, name: str) -> User | None:
        return self._read(lambda c: accounts.user_named(c, name))

    def users(self) -> Sequence[User]:
        return self._read(accounts.users)

    def session(self, secret_hash: bytes) -> tuple[Session, User] | None:
        return self._read(lambda c: accounts.session(c, secret_hash))

    def link(self, secret_hash: bytes) -> tuple[SignInLink, User] | None:
        return self._read(lambda c: accounts.link(c, secret_hash))

    def enrolment_tokens(self, ids: Sequence[str] | None = None) -> Sequence[EnrolmentToken]:
        return self._read(lambda c: reading.enrolment_tokens(c, ids))

    def setting(self, name: str) -> bytes | None:
        return self._read(lambda c: reading.setting_value(c, name))

    def leaves(self, shard: str, *, at: int, after: int = 0) -> Sequence[StoredLeaf]:
        return self._read(lambda c: catalog.leaves(c, shard, at=at, after=after))

    def drops(self, shard: str, *, at: int, after: int = 0) -> Sequence[int]:
        return self._read(lambda c: catalog.drops(c, shard, at=at, after=after))

    def left_leaves(self, shard: str, updates: Sequence[bytes]) -> Sequence[StoredLeaf]:
        return self._read(lambda c: catalog.left(c, shard, updates))

    def shards(self) -> Sequence[str]:
        return self._read(catalog.shards)

    def synchronisations(self, *, before: int | None = None, limit: int = 50) -> Sequence[bytes]:
        return self._read(lambda c: catalog.synchronisations(c, before=before, limit=limit))
