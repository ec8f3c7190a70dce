"""Which delta files a publisher writes and lists, and which files a client fetches.

Steps n -> n+1 always, 16 at once at multiples of 16, 256 at once at multiples of 256. A client
may start inside a longer delta, so only the steps since the last multiple of 16 and the sixteens
since the last multiple of 256 are ever needed; a few more are listed because they are smaller.
A client more than 2,048 publishings behind takes the base. The first publishing usually is the
whole catalog, so no longer delta goes back before it: that would be a second base.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.wire.shards import BaseFileV1, DeltaFileV1, ShardIndexV1

SPANS = (1, 16, 256)
LATEST = {1: 8, 16: 2, 256: 8}
"""Span of a delta -> how many of the latest an index lists, needed or not."""
REQUEST_BYTES = 300
"""What fetching one more file costs besides its content."""

ShardFile = BaseFileV1 | DeltaFileV1

_NOWHERE = -1
FEEDS = "feeds"
_ROLES = {"custom": "publisher", "agent": "agent"}


def role_of(shard: str) -> str:
    """Return the role that signs a shard: what people publish is not a feed's to change."""
    return _ROLES.get(shard, FEEDS)


def target_of(shard: str) -> str:
    """Return where the repository keeps a shard's index: under the role that may sign it."""
    return f"{role_of(shard)}/{shard}/index"


def deltas_due(serial: int) -> list[tuple[int, int]]:
    """Return the (a, b) that a publisher writes when it publishes this serial (1 or above)."""
    return [
        (serial - span if span == 1 else max(1, serial - span), serial)
        for span in SPANS
        if serial % span == 0
    ]


def listed(deltas: Iterable[DeltaFileV1], serial: int) -> tuple[DeltaFileV1, ...]:
    """Return the deltas that the index of this serial should list, oldest first."""
    kept = [delta for delta in deltas if _is_listed(delta, serial)]
    return tuple(sorted(kept, key=lambda delta: (delta.to_serial, delta.from_serial)))


def _is_listed(delta: DeltaFileV1, serial: int) -> bool:
    span, end = _span(delta), delta.to_serial
    if span not in SPANS or end > serial:
        return False
    needed = span != SPANS[-1] and end > serial - serial % (span * 16)
    return needed or end > serial - serial % span - LATEST[span] * span


def _span(delta: DeltaFileV1) -> int:
    span = delta.to_serial - delta.from_serial
    return delta.to_serial if delta.from_serial == 1 and span > 1 else span


def plan(index: ShardIndexV1, serial: int) -> list[ShardFile]:
    """Return the files to fetch and apply, in order, at the least cost on the wire.

    `serial` is the client's; 0 is the empty shard. A client that is ahead (the site was restored)
    starts from the base; whether it may go back is its floor's to say, and not asked here.

    Raises:
        InvalidDocument: the index names no way to its own serial.
    """
    start = serial if serial <= index.serial else _NOWHERE
    found = cheapest_path(index.base, index.deltas, start=start, target=index.serial)
    if found is None:
        raise InvalidDocument([Problem("index", f"no files lead from {serial} to {index.serial}")])
    return found


def cheapest_path(
    base: BaseFileV1, deltas: Sequence[DeltaFileV1], *, start: int, target: int
) -> list[ShardFile] | None:
    """Return Dijkstra's shortest path over serials; the base is reached from all before it."""
    waiting: list[tuple[int, int, int, list[ShardFile]]] = [(0, 0, start, [])]
    pushed = 0
    settled: set[int] = set()
    while waiting:
        cost, _, at, path = heapq.heappop(waiting)
        if at == target:
            return path
        if at in settled:
            continue
        settled.add(at)
        for file, arrives in _ways(base, deltas, at):
            pushed += 1  # parts equal costs, so that paths are never compared
            price = cost + file.size_bytes + REQUEST_BYTES
            heapq.heappush(waiting, (price, pushed, arrives, [*path, file]))
    return None


def _ways(
    base: BaseFileV1, deltas: Sequence[DeltaFileV1], at: int
) -> Iterable[tuple[ShardFile, int]]:
    if at < base.serial:
        yield base, base.serial
    for delta in deltas:
        if delta.from_serial <= at < delta.to_serial:
            yield delta, delta.to_serial
