"""Since when which machines need each update: what its time on some of them runs from.

How any machines stand against a target is told of those machines alone. So each machine is kept
under the day on which it was first counted as needing the update, also when it has it by now, for
as long as the update is offered.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

import msgspec
from pyroaring import BitMap

from patchtide.server.history_needing import LEFT_OUT, Needing, kept_days, kept_needing
from patchtide.server.history_rows import BLOCK, MOST_BYTES
from patchtide.server.ports.history import HistoryReading
from patchtide.wire.sets import pack, unpack

log = logging.getLogger(__name__)

_Row = dict[int, list[tuple[int, bytes]]]
"""By the update's place: each day, by its number, with the machines that needed it first then."""
_ROW = msgspec.msgpack.Decoder(_Row)
_NOBODY = BitMap()
TOO_LARGE = (
    "of %d updates is not kept any more who comes to need them, which would take %d MB:"
    " how long they take on some machines is reckoned from the days before"
)


class NeededSince:
    """What was kept of all updates."""

    def __init__(self, rows: Iterable[tuple[int, bytes]]) -> None:
        self._by_place: _Row = {}
        for _, document in rows:
            self._by_place |= _read(document)

    def among(self, place: int | None, machines: BitMap) -> tuple[date | None, BitMap]:
        """Return the first day on which one of these machines needed it, and who of them ever did.

        None: none of them was counted so.
        """
        first, found = None, BitMap()
        for day, kept in () if place is None else self._by_place.get(place, ()):
            some = BitMap.deserialize(kept) & machines
            if some:
                found |= some
                first = day if first is None else min(first, day)
        return None if first is None else date.fromordinal(first), found


def first_needed(
    history: HistoryReading, needed: Needing, offered: Collection[int], *, today: date
) -> dict[int, bytes]:
    """Return what is to be written down after today's count; the first time from the days before.

    `offered`: the places of all updates that are; of others nothing is kept.
    """
    rows = dict(history.needed_since())
    if rows:
        return carried_on(rows, needed, day=today, offered=offered)
    blocks = {place // BLOCK for place in offered}
    for day in kept_days(history, today=today):
        earlier = kept_needing(history, blocks, day)
        rows |= carried_on(rows, earlier, day=day, offered=offered)
    return rows | carried_on(rows, needed, day=today, offered=offered)


def carried_on(
    rows: Mapping[int, bytes], needed: Needing, *, day: date, offered: Collection[int]
) -> dict[int, bytes]:
    """Return what is to be kept from this day on of the blocks where that is something else.

    Of a block that would be too large it stays as it was, and the log says so.
    """
    changed = {}
    by_block: dict[int, dict[int, bytes]] = {block: {} for block in rows}
    for place, machines in needed.items():
        by_block.setdefault(place // BLOCK, {})[place] = machines
    for block, some in by_block.items():
        kept = _read(rows[block]) if block in rows else {}
        now = {place: known for place, known in kept.items() if place in offered}
        for place, machines in some.items():
            if machines != LEFT_OUT and place in offered:
                now[place] = _with(now.get(place, ()), machines, day.toordinal())
        document = msgspec.msgpack.encode(now)
        if len(document) > MOST_BYTES:
            log.warning(TOO_LARGE, len(now), len(document) >> 20)
        elif now != kept:
            changed[block] = pack(document)
    return changed


def _with(known: Sequence[tuple[int, bytes]], machines: bytes, day: int) -> list[tuple[int, bytes]]:
    """Return the days with those who need it on this one and did not before."""
    sets = {at: BitMap.deserialize(kept) for at, kept in known}
    new = BitMap.deserialize(machines).difference(*(some for at, some in sets.items() if at <= day))
    if not new:
        return list(known)
    # A later day is of a clock that was wrong.
    sets = {at: some if at <= day else some - new for at, some in sets.items()}
    sets[day] = sets.get(day, _NOBODY) | new
    return [(at, _bytes(some)) for at, some in sorted(sets.items()) if some]


def _bytes(machines: BitMap) -> bytes:
    machines.run_optimize()
    return machines.serialize()


def _read(document: bytes) -> _Row:
    return _ROW.decode(unpack(document, limit=MOST_BYTES, what="history"))
