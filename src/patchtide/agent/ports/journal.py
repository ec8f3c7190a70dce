"""What the agent remembers across crashes, restarts and power cuts.

Four small needs that one store fulfils, since some of them change together. A method that
returns has its effect on stable storage, unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from patchtide.domain.errors import PatchtideError
from patchtide.wire.messages import EventV1

EVENTS_KEPT = 1000
"""Untold events beyond this number push out the oldest."""
REPORT_LIMIT = 4 << 20
"""A report larger than this is refused by the server, so it is not queued either."""


class JournalFailed(PatchtideError):
    """The agent's state could not be stored; what was under way is not done."""

    code = "journal-failed"


class NoSpace(JournalFailed):
    """There is not enough free space for the agent's state."""

    code = "no-space"


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """A machine's whole state: the three sets in their canonical form."""

    lineage: bytes
    digest: bytes
    required: bytes
    installed: bytes
    unknown: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingReport:
    """A report that the server has not acknowledged; sent again with the same counter."""

    counter: int
    body: bytes
    states: States | None
    """What is acknowledged with it; None: the report carries no states."""
    full: bool
    restored: bool
    events_to: int
    """The highest id of the events that it carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardHead:
    """Which state of a shard is in the local store."""

    lineage: bytes
    serial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardChange:
    """A step of one shard. `whole` replaces what is there; the rest upserts and drops."""

    head: ShardHead
    upserts: Sequence[tuple[int, int, bytes]]
    """(number, revision, leaf)"""
    drops: Iterable[int] = ()
    whole: bool = False


class BrainStore(Protocol):
    def load(self) -> bytes | None: ...

    def save(self, state: bytes, *, durable: bool, notes: Sequence[EventV1] = ()) -> None:
        """Store the state and the events together.

        Not durable: a crash of the process keeps it, a power cut may not.
        """
        ...


class Counters(Protocol):
    def take_counter(self) -> int:
        """Return a number higher than any before, whatever crashed in between."""
        ...

    def jump_counter(self, expected: int) -> None:
        """Go on at `expected` or above."""
        ...


class ReportQueue(Protocol):
    def acknowledged(self) -> States | None: ...

    def pending(self) -> PendingReport | None: ...

    def queue(self, report: PendingReport) -> None: ...

    def acknowledge(self) -> None:
        """The pending report is durable at the server: its states count, its events are told."""
        ...

    def drop_pending(self) -> None:
        """The server will never take this report; its events stay untold."""
        ...

    def events(self, limit: int) -> Sequence[tuple[int, EventV1]]:
        """Return the oldest untold events."""
        ...


class KeptShards(Protocol):
    """What is in the store, for whoever only looks."""

    def shards(self) -> Mapping[str, ShardHead]: ...

    def leaves(self, shard: str) -> Iterator[tuple[int, int, bytes]]: ...


class ShardStore(KeptShards, Protocol):
    def change_shard(self, shard: str, change: ShardChange) -> None: ...


class PolicyStore(Protocol):
    def policy(self) -> tuple[bytes, Mapping[bytes, bytes]]:
        """Return the sealed envelope in force (empty: none) and its fragments by name."""
        ...

    def keep_policy(self, envelope: bytes, fragments: Mapping[bytes, bytes]) -> None:
        """Replace envelope and fragments together."""
        ...


class Journal(BrainStore, Counters, ReportQueue, ShardStore, PolicyStore, Protocol):
    """The agent's journal as a whole."""
