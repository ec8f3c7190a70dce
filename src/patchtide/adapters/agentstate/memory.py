"""The journal in memory, for the simulator and tests: same promises, no disk.

Thousands of machines live in one process, so machines that hold the same shard at the same
serial share its leaves through `pool`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence

from patchtide.agent.ports.journal import (
    EVENTS_KEPT,
    PendingReport,
    ShardChange,
    ShardHead,
    States,
)
from patchtide.wire.messages import EventV1

Leaves = Mapping[int, tuple[int, int, bytes]]
Pool = MutableMapping[tuple[str, bytes, int], Leaves]


class MemoryJournal:
    __slots__ = (
        "_acknowledged", "_brain", "_counter", "_event_id", "_events", "_heads", "_leaves",
        "_pending", "_policy", "_pool",
    )  # fmt: skip

    def __init__(self, pool: Pool | None = None) -> None:
        self._pool = pool
        self._brain: bytes | None = None
        self._counter = 1
        self._acknowledged: States | None = None
        self._pending: PendingReport | None = None
        self._event_id = 0
        self._events: tuple[tuple[int, EventV1], ...] = ()
        self._heads: dict[str, ShardHead] = {}
        self._leaves: dict[str, Leaves] = {}
        self._policy: tuple[bytes, Mapping[bytes, bytes]] = (b"", {})

    def load(self) -> bytes | None:
        return self._brain

    def save(self, state: bytes, *, durable: bool, notes: Sequence[EventV1] = ()) -> None:
        self._brain = state
        for note in notes:
            self._event_id += 1
            self._events = (*self._events[1 - EVENTS_KEPT :], (self._event_id, note))

    def take_counter(self) -> int:
        self._counter += 1
        return self._counter - 1

    def jump_counter(self, expected: int) -> None:
        self._counter = max(self._counter, expected)

    def acknowledged(self) -> States | None:
        return self._acknowledged

    def pending(self) -> PendingReport | None:
        return self._pending

    def queue(self, report: PendingReport) -> None:
        self._pending = report

    def acknowledge(self) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        self._acknowledged = pending.states or self._acknowledged
        self._events = tuple(e for e in self._events if e[0] > pending.events_to)

    def drop_pending(self) -> None:
        self._pending = None

    def events(self, limit: int) -> Sequence[tuple[int, EventV1]]:
        return self._events[:limit]

    def shards(self) -> Mapping[str, ShardHead]:
        return dict(self._heads)

    def leaves(self, shard: str) -> Iterator[tuple[int, int, bytes]]:
        leaves = self._leaves.get(shard, {})
        return (leaves[number] for number in sorted(leaves))

    def change_shard(self, shard: str, change: ShardChange) -> None:
        head = change.head
        key = (shard, head.lineage, head.serial)
        if self._pool is None:
            self._leaves[shard] = self._changed(shard, change)
        else:
            if key not in self._pool:
                self._pool[key] = self._changed(shard, change)
            self._leaves[shard] = self._pool[key]
        self._heads[shard] = head

    def policy(self) -> tuple[bytes, Mapping[bytes, bytes]]:
        return self._policy

    def keep_policy(self, envelope: bytes, fragments: Mapping[bytes, bytes]) -> None:
        self._policy = (envelope, dict(fragments))

    def _changed(self, shard: str, change: ShardChange) -> Leaves:
        leaves = {} if change.whole else dict(self._leaves.get(shard, {}))
        for number in change.drops:
            leaves.pop(number, None)
        leaves.update((row[0], row) for row in change.upserts)
        return leaves
