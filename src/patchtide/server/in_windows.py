"""Which machines are within a maintenance window of theirs now: they may restart, or be at work.

Asked of a few: of those that are missing, say, and not of a whole fleet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.schedules.spans import Span
from patchtide.domain.schedules.windows import openings
from patchtide.server.calendar_book import (
    Subject,
    of_kind,
    subject_in,
    times_in,
    told_zone,
    window_in,
)
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.ports.calendar import Entry, EntryKind

MOST = 1000
"""Of more machines nobody is looked for: no maintenance takes so many away at once, and whoever
keeps watch wants to know."""
SLICE = 100
_MOMENT, _FARTHEST = timedelta(seconds=1), timedelta(hours=14)


def in_window(fleet: Fleet, machines: BitMap, entries: Sequence[Entry], now: datetime) -> BitMap:
    """Return who of these is within an open window, by the calendar's entries.

    Ask in one of the fleet's own threads.
    """
    found = BitMap()
    if not (opened := _open_somewhere(entries, now)):
        return found
    if len(machines) > MOST:
        machines = machines & fleet.ask(lambda view: _reached(fleet, view, opened))
    if len(machines) > MOST:
        return found
    for start in range(0, len(machines), SLICE):
        for number, subject in _subjects(fleet, machines[start : start + SLICE]):
            times = times_in(entries, subject, zone=told_zone(fleet.store, number))
            spans = openings(times.windows, Span(now, now + _MOMENT), times.zone)
            if any(span.has(now) for span in spans):
                found.add(number)
    return found


def _open_somewhere(entries: Sequence[Entry], now: datetime) -> frozenset[UUID]:
    """Return the collections with a window that is open now, by whatever clock a machine has."""
    around = Span(now - _FARTHEST, now + _FARTHEST)
    return frozenset(
        one.collection or ALL_MACHINES
        for one in of_kind(entries, EntryKind.WINDOW)
        if any(openings([window_in(one)], around, UTC))
    )


def _reached(fleet: Fleet, view: View, collections: Iterable[UUID]) -> BitMap:
    return BitMap().union(*(fleet.collections.targets_of(view, one) for one in collections))


def _subjects(fleet: Fleet, machines: BitMap) -> Sequence[tuple[int, Subject]]:
    return fleet.ask(
        lambda view: [
            subject_in(fleet, view, UUID(bytes=view.members[number].client.uuid))
            for number in machines
            if number in view.members
        ]
    )
