"""What the view of the whole fleet reads: few statements, each for many rows at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from patchtide.domain.catalog.details import UpdateDetails
from patchtide.domain.catalog.judged import Judged
from patchtide.domain.schedules.scanning import ScanRule
from patchtide.server.ports.audit import AuditEntry
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.server.ports.clients import Client
from patchtide.server.ports.collections import CollectionReading
from patchtide.server.ports.following import Cursor, DecisionEvent
from patchtide.server.ports.reports import HeldInventory, StateRow
from patchtide.server.ports.update_lists import UpdateListReading


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedEvents:
    """What one report told besides states; `events` is MessagePack."""

    counter: int
    at: datetime
    events: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """When a machine was last heard, and what it said of its health (MessagePack)."""

    at: float
    """Epoch seconds; 0: never."""
    health: bytes
    policy_at: float = 0.0
    """When it last came with the settings that hold for it; 0: never, or it takes none."""


class ToldList(NamedTuple):
    """A client's list of one kind is the body with that digest."""

    client: int
    kind: str
    digest: bytes


class FleetReading(Protocol):
    def epoch(self) -> Cursor: ...

    def decided_here(self) -> int:
        """Return how often something was decided at this node; asks no database."""
        ...

    def clients(
        self, *, after: int = 0, limit: int = 100, search: str = "", state: str = ""
    ) -> Sequence[Client]: ...

    def clients_of(self, uuids: Sequence[bytes]) -> Sequence[Client]: ...

    def clients_numbered(self, numbers: Sequence[int]) -> Sequence[Client]: ...

    def states(self, *, after: int = 0, limit: int = 1000) -> Sequence[StateRow]: ...

    def states_of(self, clients: Sequence[int]) -> Sequence[StateRow]: ...

    def reporters(self, cursor: Cursor, *, limit: int = 1000) -> tuple[Cursor, Sequence[int]]:
        """Return which clients reported after the cursor, and where to go on.

        Raises:
            CursorLost: what followed the cursor is not kept any more.
        """
        ...

    def decided(
        self, cursor: Cursor, *, limit: int = 1000
    ) -> tuple[Cursor, Sequence[DecisionEvent]]: ...

    def leaves(self, shard: str, *, at: int, after: int = 0) -> Sequence[StoredLeaf]: ...

    def listed_updates(self) -> Sequence[UpdateDetails]:
        """Return what lists show of all updates: no long texts."""
        ...

    def judged(self) -> Judged:
        """Return what this site has decided about updates."""
        ...

    def scan_rule(self) -> ScanRule:
        """Return how often this site has its machines scan."""
        ...

    @property
    def update_lists(self) -> UpdateListReading: ...

    @property
    def collections(self) -> CollectionReading: ...

    def heard_after(self, since: float) -> Mapping[int, Heard]:
        """Return what machines said of their health that were heard after that moment."""
        ...


class FleetDetails(Protocol):
    """What single pages read besides the view."""

    def heard(self, clients: Sequence[int]) -> Mapping[int, Heard]: ...

    def update_details(self, updates: Sequence[UUID] | None = None) -> Sequence[UpdateDetails]:
        """Return what people read of these updates, or of all."""
        ...

    def leaves_of(self, update: UUID) -> Sequence[StoredLeaf]:
        """Return every revision of the update's leaves that is kept, from whatever shard."""
        ...

    def leaves_numbered(self, shard: str, numbers: Sequence[int]) -> Sequence[StoredLeaf]:
        """Return every revision of these leaves that the shard keeps."""
        ...

    def inventory(self, client: int, kind: str) -> bytes | None: ...

    def inventories(self, clients: Sequence[int], kind: str) -> Mapping[int, bytes]:
        """Return the list of this kind of each of these that has told one."""
        ...

    def inventory_of(self, client: int) -> Sequence[HeldInventory]:
        """Return which lists the client has told, and when it told them."""
        ...

    def inventory_holders(
        self, kind: str, *, after: int = 0, limit: int = 5000
    ) -> Sequence[tuple[int, bytes]]:
        """Return whose list of this kind is which body, by client, in pages."""
        ...

    def inventories_after(self, cursor: Cursor) -> tuple[Cursor, Sequence[ToldList]]:
        """Return whose lists are others since, each once, and where to go on.

        Raises:
            CursorLost: the cursor is of another epoch.
        """
        ...

    def inventory_bodies(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]: ...

    def recent_events(self, client: int, *, limit: int = 50) -> Sequence[ReportedEvents]:
        """Return what the client's newest reports told, newest first."""
        ...

    def audit_of(
        self, subject: str, *, limit: int = 50, operations: Collection[str] = ()
    ) -> Sequence[AuditEntry]:
        """Return the newest decisions about one thing, newest first; or only by these."""
        ...

    def newest_audit(self, *, limit: int = 10) -> Sequence[AuditEntry]: ...


class FleetStore(FleetReading, FleetDetails, Protocol): ...
