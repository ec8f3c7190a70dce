"""What the use cases need for what machines say.

Many reports go into one transaction and make no event: the change number of a row is its event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


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
    scan_for: int = 0
    """The scan that was asked for and is told of here; 0: none was."""
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
    policy_at: float = 0.0
    """When it last came with the settings that hold for it; 0: not since this node knows it."""


class StateRow(Struct, frozen=True, kw_only=True):
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
