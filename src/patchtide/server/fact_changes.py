"""What changed on machines: packages that came, went or are others, another kernel, addresses.

A machine tells whole lists. How one differs from the one before is worked out afterwards and kept
in its place, so that neither a report waits for it nor old lists fill the disk.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import InvalidDocument
from patchtide.server.context import Call
from patchtide.server.machines import MachineId
from patchtide.server.ports.fact_history import (
    ChangedInventory,
    FactHistory,
    FactHistoryReading,
    KeptChange,
)
from patchtide.server.table import Input, Output
from patchtide.wire.inventory import HardwareV1, package_rows, read_hardware

KEPT = 20
"""So many changes of a machine's packages, and so many of what else it is."""
ROWS = 300
"""So many rows of one change: an upgrade of the whole system has thousands."""
BATCH = 50
"""Two lists of each are read at once, some 50 kB apiece."""
BATCHES = 200
"""So many at a time, some 25 seconds; what is left waits for the next, with its old lists."""
_SINGLE = ("host_name", "system", "kernel", "architecture", "model", "processors", "memory_bytes")
_SEVERAL = {"addresses": "address", "services": "service"}


class Difference(msgspec.Struct, frozen=True, array_like=True):
    what: str
    was: str
    """Empty: it was not there."""
    now: str


class Differences(msgspec.Struct, frozen=True, array_like=True):
    rows: tuple[Difference, ...]
    left_out: int = 0


class ListFactChanges(Input, kw_only=True, frozen=True):
    machine: MachineId
    limit: Annotated[int, Meta(ge=1, le=100, description="How many times back.")] = 20


class FactChange(Output, kw_only=True, frozen=True):
    at: datetime
    kind: str
    """`packages` or `hardware`."""
    what: str
    was: str
    now: str


class FactChanges(Output, kw_only=True, frozen=True):
    items: tuple[FactChange, ...]
    left_out: int
    """Rows of large changes that are not kept."""


async def list_changes(call: Call, principal: Principal, asked: ListFactChanges) -> FactChanges:
    """Raises NotFound."""
    fleet, history = call.context.fleet, call.context.reading.fact_history
    member = await call.read_fleet(lambda: fleet.ask(lambda view: view.member(asked.machine)))
    found = await call.read(lambda: changes_of(history, member.number)[: asked.limit])
    return FactChanges(
        items=tuple(_shown(at, kind, one) for at, kind, told in found for one in told.rows),
        left_out=sum(told.left_out for _, _, told in found),
    )


def _shown(at: float, kind: str, one: Difference) -> FactChange:
    moment = datetime.fromtimestamp(at, UTC)
    return FactChange(at=moment, kind=kind, what=one.what, was=one.was, now=one.now)


def changes_of(
    history: FactHistoryReading, client: int
) -> Sequence[tuple[float, str, Differences]]:
    """Return how its lists changed, newest first, whether that was worked out before or not."""
    waiting = history.changed(client=client, limit=KEPT)
    kept = [(one.at, one.kind, _unpack(one.told)) for one in history.kept(client)]
    fresh = [(one.at, one.kind, told) for one, told in _worked_out(history, waiting)]
    return sorted([*fresh, *kept], key=lambda one: -one[0])


@dataclass(frozen=True, slots=True)
class FactUpkeep:
    """Works out what waits for it; to be done before bodies that nobody has are removed."""

    history: FactHistory

    async def run(self) -> None:
        for _ in range(BATCHES):
            waiting = await asyncio.to_thread(partial(self.history.changed, limit=BATCH))
            if not waiting:
                return
            told = await asyncio.to_thread(_told, self.history, waiting)
            await self.history.keep(waiting, told, most=KEPT)


def _told(history: FactHistoryReading, waiting: Sequence[ChangedInventory]) -> list[KeptChange]:
    return [
        KeptChange(client=one.client, kind=one.kind, at=one.at, told=msgspec.msgpack.encode(found))
        for one, found in _worked_out(history, waiting)
    ]


def _worked_out(
    history: FactHistoryReading, waiting: Sequence[ChangedInventory]
) -> Iterator[tuple[ChangedInventory, Differences]]:
    bodies = history.bodies(sorted({d for one in waiting for d in (one.was, one.now)}))
    for one in waiting:
        was, now = bodies.get(one.was), bodies.get(one.now)
        if was is None or now is None:
            continue
        found = differences(one.kind, was, now)
        if found.rows:
            yield one, found


def differences(kind: str, was: bytes, now: bytes) -> Differences:
    """Return how one list differs from the one before; of what is none, nothing."""
    try:
        found = list((_packages if kind == "packages" else _hardware)(was, now))
    except InvalidDocument:
        found = []
    return Differences(tuple(found[:ROWS]), max(0, len(found) - ROWS))


def _packages(was: bytes, now: bytes) -> Iterator[Difference]:
    before, after = set(package_rows(was)), set(package_rows(now))
    moved = {(name, architecture) for name, _, architecture in before ^ after}
    old, new = _versions(before, moved), _versions(after, moved)
    names = Counter(name for name, _ in moved)
    for name, architecture in sorted(moved):
        what = name if names[name] == 1 else f"{name}:{architecture}"
        key = name, architecture
        yield Difference(what, " ".join(old.get(key, ())), " ".join(new.get(key, ())))


def _versions(
    rows: Iterable[tuple[str, str, str]], moved: set[tuple[str, str]]
) -> Mapping[tuple[str, str], Sequence[str]]:
    """Return which versions there are: of a kernel there may be several."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, version, architecture in sorted(rows):
        if (name, architecture) in moved:
            found[name, architecture].append(version)
    return found


def _hardware(was: bytes, now: bytes) -> Iterator[Difference]:
    before, after = read_hardware(was), read_hardware(now)
    for name in _SINGLE:
        old, new = _text(before, name), _text(after, name)
        if old != new:
            yield Difference(name, old, new)
    for name, one in _SEVERAL.items():
        had, has = set(getattr(before, name)), set(getattr(after, name))
        yield from (Difference(one, gone, "") for gone in sorted(had - has))
        yield from (Difference(one, "", come) for come in sorted(has - had))


def _text(found: HardwareV1, name: str) -> str:
    return str(getattr(found, name) or "")


def _unpack(told: bytes) -> Differences:
    return msgspec.msgpack.decode(told, type=Differences)
