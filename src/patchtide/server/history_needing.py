"""Which machines needed each update on the last days: what a forecast for some of them needs.

How many machines of any collection, or of any that somebody may see, lacked an update a few days
ago cannot be had from counts. So of the last days the machines themselves are kept, by update; of
today's members it is said how many of them lacked it then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from uuid import UUID

import msgspec
from pyroaring import BitMap

from patchtide.domain.compliance.forecast import WINDOW
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.history_rows import BLOCK, MOST_BYTES
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.ports.history import HistoryReading
from patchtide.wire.sets import pack, unpack

MOST = 8_000_000
"""Pairs of an update and a machine that are kept of a day; of updates beyond, none is.

At two bytes each no row is larger than can be read, also if all are in one.
"""
SLICE = 250
"""So many updates are asked of the fleet at once: others may ask it in between."""
KEPT = -1
"""The block that says of a day that it was kept, though perhaps nobody needed anything."""
LEFT_OUT = b""
"""In place of the machines of an update for which there was no room."""

Needing = Mapping[int, bytes]
"""The machines that need it, by the update's place, as they are kept."""
_Row = dict[int, bytes]
_ROW = msgspec.msgpack.Decoder(_Row)


def needing(fleet: Fleet, places: Mapping[UUID, int]) -> Needing:
    """Return who needs what, of all that some machine needs."""
    found: dict[int, bytes] = {}
    left = MOST
    for some in _parts(fleet):
        for update, machines in fleet.ask(lambda view, some=some: list(_needed(view, some))):  # type: ignore[misc]
            place = places.get(update)
            if place is not None:
                left -= len(machines)
                found[place] = _kept(machines) if left >= 0 else LEFT_OUT
    return found


def _parts(fleet: Fleet) -> Iterator[Sequence[KnownUpdate]]:
    def wanted(view: View) -> Sequence[KnownUpdate]:
        return [one for one in view.updates.values() if view.tally_of(one).required]

    found = fleet.ask_settled(wanted)
    for start in range(0, len(found), SLICE):
        yield found[start : start + SLICE]


def _needed(view: View, some: Sequence[KnownUpdate]) -> Iterator[tuple[UUID, BitMap]]:
    for update in some:
        # Perhaps it was withdrawn meanwhile.
        if update.id in view.updates:
            yield update.id, view.held(view.updates[update.id]).required


def _kept(machines: BitMap) -> bytes:
    machines.run_optimize()
    return machines.serialize()


def needing_blocks(found: Needing) -> dict[int, bytes]:
    """Return what is written down of a day, block by block of places."""
    blocks: dict[int, _Row] = {KEPT: {}}
    for place, machines in found.items():
        blocks.setdefault(place // BLOCK, {})[place] = machines
    return {block: pack(msgspec.msgpack.encode(row)) for block, row in blocks.items()}


class NeededBefore:
    """Who needed what on the days that a forecast looks at, read block by block when asked."""

    def __init__(self, history: HistoryReading, *, today: date) -> None:
        self._history = history
        self._first, self._last = today - WINDOW, today - timedelta(days=1)
        self._days = kept_days(history, today=today)
        self._blocks: dict[int, Mapping[date, _Row]] = {}

    def of(self, place: int, machines: BitMap) -> Iterator[tuple[date, int]]:
        """Yield on which days how many of these machines needed the update at that place."""
        block = place // BLOCK
        if block not in self._blocks:
            read = self._history.needing(block, first=self._first, last=self._last)
            self._blocks[block] = {day: _read(document) for day, document in read}
        rows = self._blocks[block]
        for day in self._days:
            kept = rows.get(day, {}).get(place)
            if kept != LEFT_OUT:
                needed = BitMap() if kept is None else BitMap.deserialize(kept)
                yield day, needed.intersection_cardinality(machines)


def kept_needing(history: HistoryReading, blocks: Iterable[int], day: date) -> dict[int, bytes]:
    """Return who needed what on a day that is kept."""
    read = (history.needing(block, first=day, last=day) for block in blocks)
    rows = (_read(document) for days in read for _, document in days)
    return {place: machines for row in rows for place, machines in row.items()}


def kept_days(history: HistoryReading, *, today: date) -> Sequence[date]:
    """Return the last days of which it is kept who needed what."""
    days = history.needing(KEPT, first=today - WINDOW, last=today - timedelta(days=1))
    return sorted(day for day, _ in days)


def _read(document: bytes) -> _Row:
    return _ROW.decode(unpack(document, limit=MOST_BYTES, what="history"))
