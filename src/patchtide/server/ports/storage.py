"""What the use cases need from the database.

Two ways in, as the storage rules have it. `Decisions.decide` is for what people and the system
decide: one transaction, in which the decision, its log event and its audit entry become durable
together. `Reports.accept` is for what machines say: many reports, one transaction, no event; the
change number of a row is its event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar
from uuid import UUID

from patchtide.domain.catalog.details import UpdateDetails
from patchtide.domain.catalog.judged import Acceptance
from patchtide.domain.catalog.risk import Rating
from patchtide.server.ports.accounts import AccountReading, AccountWriting
from patchtide.server.ports.update_lists import UpdateListReading, UpdateListWriting

T = TypeVar("T")


class ClientState(StrEnum):
    WAITING = "waiting"
    ACTIVE = "active"
    QUARANTINED = "quarantined"
    DECOMMISSIONED = "decommissioned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A machine as the server knows it. `number` never leaves the server."""

    number: int
    uuid: bytes
    name: str
    public_key: bytes
    machine: bytes
    site: str
    state: ClientState
    enrolled_at: datetime
    group: str = ""
    platform: str = ""
    agent_version: str = ""
    full_report: bool = False
    """The server has lost track and asks for everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClient:
    uuid: bytes
    name: str
    public_key: bytes
    machine: bytes
    site: str
    state: ClientState
    group: str = ""
    platform: str = ""
    agent_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentToken:
    """Only the SHA-256 of the secret is kept."""

    id: str
    secret_hash: bytes
    site: str
    group: str
    uses_left: int
    approve: bool
    """Machines that come with it wait for an administrator's approval."""
    created_at: datetime
    expires_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A person's or a program's key to the administrators' API."""

    id: str
    name: str
    secret_hash: bytes
    rights: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    created_by: str
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    sequence: int
    change: int
    at: datetime
    actor: str
    operation: str
    subject: str
    detail: Mapping[str, object]
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFlaw:
    """Where the chain breaks: the first entry that is not what it was, and how it shows."""

    sequence: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSegment:
    """Entries in a row, signed, as they are kept outside of the database."""

    first: int
    last: int
    hash: bytes
    """Of the last entry, which stands for all before it."""
    body: bytes


class Transaction(AccountWriting, Protocol):
    """Inside one decision. Reads see the decision's own writes; every method is one statement."""

    def add_enrolment_token(self, token: EnrolmentToken) -> None: ...

    def use_enrolment_token(
        self, token_id: str, *, secret_hash: bytes, now: datetime
    ) -> EnrolmentToken | None:
        """Take one use, or return None: unknown, spent, expired or wrong secret, all alike."""
        ...

    def drop_enrolment_token(self, token_id: str) -> bool: ...

    def add_client(self, client: NewClient, *, now: datetime) -> Client: ...

    def clients_like(self, *, public_key: bytes, machine: bytes) -> Sequence[Client]:
        """Return clients that share the key or the machine hash, decommissioned ones included."""
        ...

    def client(self, uuid: bytes) -> Client | None: ...

    def set_client_state(self, uuids: Sequence[bytes], state: ClientState) -> int:
        """Return how many changed. A decommissioned client never changes again (S43)."""
        ...

    def ask_full_report(self, uuids: Sequence[bytes]) -> int: ...

    def add_api_token(self, token: ApiToken) -> None: ...

    def revoke_api_token(self, token_id: str, *, now: datetime) -> bool: ...

    def lock_api_token(self, token_id: str) -> ApiToken | None:
        """Return it if it is not revoked; until the end of this transaction no other one can."""
        ...

    def lock_api_tokens(self) -> Sequence[ApiToken]:
        """Return those that are not revoked. Until the end of this transaction no other one
        can revoke any of them, so of two at once the second sees what the first did."""
        ...

    def count_api_tokens(self) -> int: ...

    def setting(self, name: str) -> bytes | None:
        """Return a small server-wide value (bootstrap done, lineage id, ...)."""
        ...

    def lock_setting(self, name: str) -> bytes | None:
        """Return the value; until the end of this transaction no other one can change it."""
        ...

    def put_setting(self, name: str, value: bytes) -> None:
        """Raises StaleRevision when another node put a new one at the same time."""
        ...

    def allot_numbers(self, count: int) -> int:
        """Return the first of `count` fresh update numbers of this site's block; never reused."""
        ...

    def unallotted(self, numbers: Sequence[int]) -> Sequence[int]:
        """Return those of the numbers that were never allotted."""
        ...

    def hold_numbers(self, wanted: Mapping[int, bytes], *, role: str) -> Sequence[NumberHolder]:
        """Give each number to the role and its update, for good.

        Returns those that have another holder already; they stay with it.
        """
        ...

    def leaf_revisions(self, shard: str, numbers: Sequence[int]) -> Mapping[int, int]:
        """Return the highest revision that the shard ever held, of those numbers it did."""
        ...

    def put_leaves(
        self, shard: str, serial: int, *, upserts: Sequence[StoredLeaf], drops: Sequence[int]
    ) -> None:
        """Put leaves into a shard for a serial; whoever reads it at an earlier one sees none."""
        ...

    def put_update_details(self, details: Sequence[UpdateDetails]) -> None:
        """Keep what people read of these updates, in place of what was there before."""
        ...

    @property
    def update_lists(self) -> UpdateListWriting: ...

    def rate_update(self, update: UUID, rating: Rating) -> None: ...

    def accept_licence(self, digest: bytes, accepted: Acceptance) -> bool:
        """Note that these terms are accepted; False: they were already."""
        ...

    def forget_updates(self, ids: Sequence[UUID], *, expired_by: datetime) -> int:
        """Remove what people read of those that had expired by then; return how many."""
        ...

    def put_synchronisation(self, number: int, *, at: float, document: bytes) -> None:
        """Keep what is told of a synchronisation, in place of what was told before."""
        ...

    def take_back_leaves(self, shard: str, serial: int, *, limit: int) -> int:
        """Undo a part of what was put in for that serial or a later one; 0: nothing is left."""
        ...

    def forget_replaced_leaves(self, shard: str, *, before: int, limit: int) -> int:
        """Remove a part of what newer revisions replaced before that serial; 0: nothing is left."""
        ...

    def begin_epoch(self, *, numbers_above: int) -> None:
        """The database is older than what the fleet has seen: no old cursor means anything.

        Followers start anew and every client is asked for a full report. Update numbers that may
        have been given out since are left out, at least up to `numbers_above`. Several statements.
        """
        ...

    def note(self, subject: str, **detail: str | int | bool | None) -> None:
        """Say what this decision did: makes its log event and its audit entry."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLeaf:
    """A leaf in a shard; `document` is its wire form."""

    number: int
    revision: int
    update: bytes
    document: bytes
    entered_serial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberHolder:
    """Whose an update number is: the role that signs its shard, and the update it stands for."""

    number: int
    role: str
    update: bytes


class Decisions(Protocol):
    async def decide(
        self, actor: str, operation: str, work: Callable[[Transaction], T], *, now: datetime
    ) -> T:
        """Run `work` in one transaction on the writer. If it raises, nothing happened.

        A decision that noted nothing writes no event and no audit entry.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingReport:
    """A verified, decoded report. Sets are canonical bytes (wire.sets.encode_set).

    `base` None: full. Otherwise a difference that is valid only on a state with that digest.
    """

    client: int
    counter: int
    lineage: bytes
    digest: bytes
    base: bytes | None
    required: bytes
    installed: bytes
    unknown: bytes
    gone: bytes
    """With `base`, the four name numbers that moved into that state; full: gone is empty."""
    has_states: bool
    """False: the report carries only scan state and events; the stored sets stay."""
    shards: bytes
    """MessagePack of {shard: serial}."""
    boot_id: str
    scan: str
    scanned_at: int
    scan_error: str
    restored: bool
    aged_catalog: bool
    events: bytes = b""
    """MessagePack of the events, kept in `client_event`; empty when there are none."""


class Outcome(StrEnum):
    """What became of a report. ACCEPTED means durable."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    """The same counter and digest as the last accepted one: the same answer again."""
    STALE_COUNTER = "stale-counter"
    NEED_FULL = "need-full"
    """The difference does not start where the stored state is, or does not lead to its digest."""


@dataclass(frozen=True, slots=True)
class Accepted:
    outcome: Outcome
    expected: int = 0
    """With STALE_COUNTER: the lowest counter that would be taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    client: int
    counter: int
    seen_at: float
    health: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    epoch: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDelta:
    """One accepted report as the index follows it; all empty: only its scan changed."""

    change: int
    client: int
    required_added: bytes = b""
    required_removed: bytes = b""
    installed_added: bytes = b""
    installed_removed: bytes = b""
    unknown_added: bytes = b""
    unknown_removed: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionEvent:
    """One decision as followers of the log see it."""

    change: int
    at: datetime
    actor: str
    operation: str
    subject: str
    detail: Mapping[str, object]


class Following(Protocol):
    """The two logs, read by change number. An old or foreign cursor raises CursorLost."""

    def epoch(self) -> Cursor: ...

    def deltas(
        self, cursor: Cursor, *, limit: int = 1000
    ) -> tuple[Cursor, Sequence[StateDelta]]: ...

    def decided(
        self, cursor: Cursor, *, limit: int = 1000
    ) -> tuple[Cursor, Sequence[DecisionEvent]]: ...

    async def keep_cursor(self, follower: str, cursor: Cursor) -> None:
        """Remember up to where a follower has read; the log is kept for it from there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInventory:
    """A client says that its list of this kind is the body with that digest."""

    client: int
    kind: str
    digest: bytes
    at: float


class Reports(Protocol):
    async def accept(self, reports: Sequence[IncomingReport], *, now: float) -> Sequence[Accepted]:
        """Make all of them durable in one transaction (group commit); answers in the same order."""
        ...

    async def flush_presence(self, seen: Sequence[Presence]) -> None: ...

    async def put_inventory(
        self, client: int, *, kind: str, digest: bytes, body: bytes, now: float
    ) -> None: ...

    async def hold_inventory(self, held: Sequence[HeldInventory]) -> frozenset[bytes]:
        """Note who has which body; return the digests whose body is not (or no longer) there."""
        ...


class InventoryReading(Protocol):
    def inventory_digests(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[bytes]:
        """Return the digests of stored bodies by key, in pages."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What admits a client's requests, as it is kept in memory by each node."""

    number: int
    uuid: bytes
    public_key: bytes
    state: ClientState
    counter: int
    """Highest counter known durable (report or flushed presence)."""
    digest: bytes = b""
    boot_id: str = ""
    full_report: bool = False
    restores: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRow:
    """One client's compliance row as read back."""

    client: int
    counter: int
    lineage: bytes
    digest: bytes
    required: bytes
    installed: bytes
    unknown: bytes
    shards: bytes
    scan: str
    scanned_at: int
    reported_at: float
    change: int
    boot_id: str = ""
    restored_at: float = 0.0
    scan_error: str = ""
    aged_catalog: bool = False


class Reading(Protocol):
    """Read-only connections; never waits for the writer (SQLite) nor takes its locks."""

    def standings(self, uuids: Sequence[bytes] | None = None) -> Sequence[Standing]: ...

    def clients(
        self, *, after: int = 0, limit: int = 100, search: str = "", state: str = ""
    ) -> Sequence[Client]: ...

    @property
    def update_lists(self) -> UpdateListReading: ...

    def states(self, *, after: int = 0, limit: int = 1000) -> Sequence[StateRow]: ...

    def deltas(self, cursor: Cursor, *, limit: int = 1000) -> tuple[Cursor, Sequence[StateDelta]]:
        """Follow by change number; a cursor of another epoch, or trimmed, raises CursorLost."""
        ...

    def audit(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditEntry]: ...

    def verify_audit(self) -> AuditFlaw | None: ...


class AuditStore(Protocol):
    """The audit as upkeep sees it."""

    async def checkpoint_audit(self, *, now: datetime) -> bool:
        """Seal the chain as it stands; False: it is sealed already."""
        ...

    def audit(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditEntry]: ...

    def audit_segment(self, *, after: int = 0) -> AuditSegment | None:
        """Return what follows that entry, up to a segment's length; None: nothing does."""
        ...

    def audit_archived(self) -> int:
        """Return the last entry that is in a segment kept elsewhere."""
        ...

    async def note_archived(self, sequence: int) -> None: ...

    async def trim(self, *, now: float) -> None:
        """Remove what has had its time, a slice at a time."""
        ...


class Lookups(AccountReading, Protocol):
    """Single reads that requests make."""

    def api_token(self, secret_hash: bytes) -> ApiToken | None: ...

    def api_tokens(self) -> Sequence[ApiToken]: ...

    def enrolment_tokens(self, ids: Sequence[str] | None = None) -> Sequence[EnrolmentToken]: ...

    def setting(self, name: str) -> bytes | None: ...

    def epoch(self) -> Cursor: ...


class CatalogReading(Protocol):
    """The stored catalog, for publishing it."""

    def shards(self) -> Sequence[str]: ...

    def leaves(self, shard: str, *, at: int, after: int = 0) -> Sequence[StoredLeaf]:
        """Return the leaves live at a serial that entered (or were revised) after another one."""
        ...

    def left_leaves(self, shard: str, updates: Sequence[bytes]) -> Sequence[StoredLeaf]:
        """Return the last revision of each leaf of these updates that has left the shard."""
        ...

    def drops(self, shard: str, *, at: int, after: int = 0) -> Sequence[int]:
        """Return the numbers that left after a serial and are not there at a later one."""
        ...

    def setting(self, name: str) -> bytes | None: ...
