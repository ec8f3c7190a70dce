"""What the fleet is made of, read from the database: the FleetStore port."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection, Engine

from patchtide.adapters.storage import fleet, ticket, update_rows
from patchtide.adapters.storage.transactions import read
from patchtide.domain.catalog.details import UpdateDetails
from patchtide.domain.catalog.judged import Judged
from patchtide.domain.schedules.scanning import ScanRule
from patchtide.server.ports.audit import AuditEntry
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.server.ports.clients import Client
from patchtide.server.ports.fleet import Heard, ReportedEvents, ToldList
from patchtide.server.ports.following import Cursor
from patchtide.server.ports.reports import HeldInventory, StateRow

T = TypeVar("T")


class FleetReads:
    def __init__(self, readers: Engine) -> None:
        self._readers = readers

    def clients_of(self, uuids: Sequence[bytes]) -> Sequence[Client]:
        return self._read(lambda c: fleet.clients_of(c, uuids))

    def clients_numbered(self, numbers: Sequence[int]) -> Sequence[Client]:
        return self._read(lambda c: fleet.clients_numbered(c, numbers))

    def states_of(self, clients: Sequence[int]) -> Sequence[StateRow]:
        return self._read(lambda c: fleet.states_of(c, clients))

    def heard(self, clients: Sequence[int]) -> Mapping[int, Heard]:
        return self._read(lambda c: fleet.heard(c, clients))

    def heard_after(self, since: float) -> Mapping[int, Heard]:
        return self._read(lambda c: fleet.heard_after(c, since))

    def update_details(self, updates: Sequence[UUID] | None = None) -> Sequence[UpdateDetails]:
        return self._read(lambda c: update_rows.details(c, updates))

    def judged(self) -> Judged:
        return self._read(update_rows.judged)

    def scan_rule(self) -> ScanRule:
        return self._read(update_rows.scan_rule)

    def clients_in_build(self) -> Mapping[bytes, int]:
        return self._read(fleet.clients_in_build)

    def expired_updates(self, *, by: datetime) -> Sequence[UUID]:
        return self._read(lambda c: update_rows.expired(c, by=by))

    def listed_updates(self) -> Sequence[UpdateDetails]:
        return self._read(update_rows.listed)

    def leaves_of(self, update: UUID) -> Sequence[StoredLeaf]:
        return self._read(lambda c: fleet.leaves_of(c, update))

    def leaves_numbered(self, shard: str, numbers: Sequence[int]) -> Sequence[StoredLeaf]:
        return self._read(lambda c: fleet.leaves_numbered(c, shard, numbers))

    def inventories(self, clients: Sequence[int], kind: str) -> Mapping[int, bytes]:
        return self._read(lambda c: fleet.inventories(c, clients, kind))

    def inventory_of(self, client: int) -> Sequence[HeldInventory]:
        return self._read(lambda c: fleet.inventory_of(c, client))

    def inventory_holders(
        self, kind: str, *, after: int = 0, limit: int = 5000
    ) -> Sequence[tuple[int, bytes]]:
        return self._read(lambda c: fleet.inventory_holders(c, kind, after=after, limit=limit))

    def inventories_after(self, cursor: Cursor) -> tuple[Cursor, Sequence[ToldList]]:
        return self._read(lambda c: fleet.inventories_after(c, cursor))

    def inventory_bodies(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return self._read(lambda c: fleet.inventory_bodies(c, digests))

    def recent_events(self, client: int, *, limit: int = 50) -> Sequence[ReportedEvents]:
        return self._read(lambda c: fleet.recent_events(c, client, limit=limit))

    def audit_of(
        self, subject: str, *, limit: int = 50, operations: Collection[str] = ()
    ) -> Sequence[AuditEntry]:
        return self._read(lambda c: fleet.audit_of(c, subject, limit=limit, operations=operations))

    def newest_audit(self, *, limit: int = 10) -> Sequence[AuditEntry]:
        return self._read(lambda c: fleet.newest_audit(c, limit=limit))

    def epoch(self) -> Cursor:
        return self._read(ticket.position)

    def _read(self, question: Callable[[Connection], T]) -> T:
        return read(self._readers, question)
