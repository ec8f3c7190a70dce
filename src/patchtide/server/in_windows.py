"""Which machines fell silent, or failed, within a maintenance window that is open now.

Asked of a few: of those that are missing, say, and not of a whole fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.schedules.spans import Span
from patchtide.domain.schedules.windows import LONGEST_WINDOW, openings
from patchtide.server.calendar_book import (
    Subject,
    of_kind,
    subject_in,
    times_in,
    window_in,
)
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.ports.calendar import Entry, EntryKind
from patchtide.server.told_hardware import zones_of

MOST = 1000
"""Of more machines nobody is looked for: no maintenance takes so many away at once, and whoever
keeps watch wants to know."""
SLICE = 100
_MOMENT, _FARTHEST = timedelta(seconds=1), timedelta(hours=14)
Since = Callable[[View, int], float]
"""From when on a machine is as it is now, in epoch seconds."""


def fell_in_window(
    fleet: Fleet, machines: BitMap, entries: Sequence[Entry], now: datetime, *, since: Since
) -> BitMap:
    """Return who of these is within an open window, and was not as it is before that opened.

    Ask in one of the fleet's own threads.
    """
    found = BitMap()
    if not (opened := _open_somewhere(entries, now)):
        return found
    machines = _lately(fleet, machines, since, (now - LONGEST_WINDOW).timestamp())
    if len(machines) > MOST:
        machines &= fleet.ask(lambda view: _reached(fleet, view, opened))
    if len(machines) > MOST:
        return found
    telling = [one for one in entries if _tells(one, opened)]
    zones = zones_of(fleet.store, list(machines))
    for some in _slices(machines, SLICE):
        for number, began, subject in _subjects(fleet, some, since):
            times = times_in(telling, subject, zone=zones.get(number, ""))
            spans = openings(times.windows, Span(now, now + _MOMENT), times.zone)
            if any(span.has(now) and began >= span.begins.timestamp() for span in spans):
                found.add(number)
    return found


def _lately(fleet: Fleet, machines: BitMap, since: Since, after: float) -> BitMap:
    """Return who is as it is since then: who is gone for good is in no window for that."""
    found = BitMap()
    for some in _slices(machines, 50 * SLICE):
        found |= fleet.ask(lambda view, some=some: _since(view, some, since, after))  # type: ignore[misc]
    return found


def _since(view: View, machines: BitMap, since: Since, after: float) -> BitMap:
    return BitMap([n for n in machines & view.active if since(view, n) >= after])


def _slices(machines: BitMap, size: int) -> Iterator[BitMap]:
    for start in range(0, len(machines), size):
        yield machines[start : start + size]


def _open_somewhere(entries: Sequence[Entry], now: datetime) -> frozenset[UUID]:
    """Return the collections with a window that is open now, by whatever clock a machine has."""
    around = Span(now - _FARTHEST, now + _FARTHEST)
    return frozenset(
        one.collection or ALL_MACHINES
        for one in of_kind(entries, EntryKind.WINDOW)
        if any(openings([window_in(one)], around, UTC))
    )


def _tells(one: Entry, opened: Collection[UUID]) -> bool:
    """Business hours say in which zone a place is."""
    is_open = one.kind is EntryKind.WINDOW and (one.collection or ALL_MACHINES) in opened
    return is_open or one.kind is EntryKind.HOURS


def _reached(fleet: Fleet, view: View, collections: Iterable[UUID]) -> BitMap:
    return BitMap().union(*(fleet.collections.bound_by(view, one) for one in collections))


def _subjects(fleet: Fleet, machines: BitMap, since: Since) -> Sequence[tuple[int, float, Subject]]:
    def question(view: View) -> Sequence[tuple[int, float, Subject]]:
        there = [(number, view.members[number].client) for number in machines & view.active]
        return [
            (number, since(view, number), subject_in(fleet, view, UUID(bytes=client.uuid))[1])
            for number, client in there
        ]

    return fleet.ask(question)
