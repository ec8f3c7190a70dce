"""The calendar as it is read: which windows, freezes and hours a collection has, or a machine."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from uuid import UUID

import msgspec

from patchtide.domain.access.principals import Principal
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.schedules.permission import Times
from patchtide.domain.schedules.spans import Span
from patchtide.domain.schedules.windows import DEFAULT_HOURS, BusinessHours, Freeze, Window
from patchtide.domain.schedules.windows import hours_of as hours_that_hold
from patchtide.server.building import build_of
from patchtide.server.collection_checks import may_name, readable
from patchtide.server.collection_index import is_of_tier_zero
from patchtide.server.context import Call
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.ports.calendar import Entry, EntryKind
from patchtide.server.said_times import (
    SaidFreeze,
    SaidHours,
    SaidWindow,
    freeze_of,
    hours_of,
    window_of,
    zone_of,
)
from patchtide.server.told_hardware import zones_of

MOST = 5000
"""Windows, freezes and business hours that a site has, all together."""
_OF_ANOTHER = "of another collection"
"""In place of what a window or a freeze is called, for whoever may not read whose it is."""
ANY_DAY = date(2000, 1, 1)
"""Whatever is kept says since when it is so."""


class KeptWindow(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    says: SaidWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose times are asked for: a machine's, or those of a collection's own."""

    id: UUID
    name: str
    collections: tuple[UUID, ...]
    unsure: frozenset[UUID] = frozenset()
    """Collections of which nobody knows whether it is in them."""
    outside: frozenset[UUID] = frozenset()
    """Collections that it is in and that say nothing of it: it is of tier 0, and they are not."""
    location: str = ""
    zone: str = ""
    """By which clocks it goes itself, as far as it has told that."""
    told: frozenset[UUID] | None = None
    """Of which of these collections whoever asks is told more than times; None: of all."""
    build: Span | None = None
    """While it is in build; its windows stand in its calendar as if it were not."""

    @property
    def asked(self) -> frozenset[UUID]:
        """Return the collections that may say something of it."""
        return frozenset({*self.collections, *self.unsure, *self.outside})

    def tells_of(self, entry: Entry) -> bool:
        return self.told is None or (entry.collection or ALL_MACHINES) in self.told


def packed(said: msgspec.Struct) -> bytes:
    return msgspec.json.encode(said)


def kept_window(entry: Entry) -> KeptWindow:
    return msgspec.json.decode(entry.said, type=KeptWindow)


def kept_freeze(entry: Entry) -> SaidFreeze:
    return msgspec.json.decode(entry.said, type=SaidFreeze)


def kept_hours(entry: Entry) -> SaidHours:
    return msgspec.json.decode(entry.said, type=SaidHours)


def window_in(entry: Entry) -> Window:
    kept = kept_window(entry)
    return window_of(kept.says, name=kept.name, today=ANY_DAY)


def freeze_in(entry: Entry) -> Freeze:
    return freeze_of(kept_freeze(entry))


def frozen_by(freezes: Iterable[Entry], now: datetime) -> frozenset[UUID]:
    """Return the collections of which one of these freezes holds, or is to come."""
    return frozenset(
        one.collection for one in freezes if one.collection and not freeze_in(one).is_over(now)
    )


def hours_in(entry: Entry) -> BusinessHours:
    return hours_of(kept_hours(entry))


def of_kind(entries: Iterable[Entry], kind: EntryKind) -> list[Entry]:
    return [entry for entry in entries if entry.kind is kind]


async def subject_of_machine(call: Call, principal: Principal, machine: UUID) -> Subject:
    """Raises NotFound."""
    fleet = call.context.fleet

    def read() -> Subject:
        told = told_collections(fleet, principal, machine)
        whole = fleet.everything
        number, found = whole.ask(lambda view: subject_in(whole, view, machine))
        zone = zones_of(fleet.store, [number]).get(number, "")
        return replace(found, zone=zone, told=told)

    return await call.read_fleet(read)


def told_collections(fleet: Fleet, principal: Principal, machine: UUID) -> frozenset[UUID] | None:
    """Return of which collections he is told beside that machine; None: of all.

    Raises:
        NotFound: there is no such machine, for him.
    """

    def question(view: View) -> frozenset[UUID] | None:
        view.member(machine)
        if not fleet.scopes and may_name(principal):
            return None
        some = readable(principal, view)
        return frozenset(some) | ({ALL_MACHINES} if may_name(principal) or some else set())

    return fleet.ask(question)


def subject_in(fleet: Fleet, view: View, machine: UUID) -> tuple[int, Subject]:
    """Return its number, and by whose times it goes, but for its zone.

    By those of the collections that it is in, and of the one that is its schedule.

    Raises:
        NotFound
    """
    client = view.member(machine).client
    ground = fleet.collections.ground(view)
    schedule = view.collections.keys() & {client.described.schedule}
    collections = dict.fromkeys((*ground.of(client.number), *schedule))
    zero = fleet.collections.tier_zero(view)
    is_zero = zero is None or client.number in zero
    others = frozenset(c for c in collections if is_zero and not is_of_tier_zero(view, c))
    reaching = (c for c in collections if c != ALL_MACHINES and c not in others)
    return client.number, Subject(
        id=machine,
        name=client.name,
        collections=(ALL_MACHINES, *reaching),
        unsure=frozenset(ground.unknown) - schedule | (others if zero is None else frozenset()),
        outside=others if zero is not None else frozenset(),
        location=client.described.location,
        build=build_of(client),
    )


async def times_of(call: Call, subject: Subject, *, zone: str = "") -> Times:
    """Return when it may be changed, by the clocks of that zone or of its own."""
    entries = await call.read(lambda: call.context.reading.calendar.entries(subject.asked))
    return times_in(entries, subject, zone=zone)


def times_in(entries: Iterable[Entry], subject: Subject, *, zone: str = "") -> Times:
    """Return when it may be changed by these, of which it has its own and no others.

    What it may be in binds as what it is in: its freezes hold, its windows open nothing. What is
    not of tier 0 says nothing of a machine that is; but where it had windows only there, it is not
    changed at any time instead.
    """
    entries = [one for one in entries if one.collection is None or one.collection in subject.asked]
    sure = [one for one in entries if one.collection not in subject.unsure | subject.outside]
    windows = tuple(_window(one, subject) for one in of_kind(sure, EntryKind.WINDOW))
    unsure = [one for one in entries if one.collection in subject.unsure]
    outside = [one for one in entries if one.collection in subject.outside]
    entries = [one for one in entries if one.collection not in subject.outside]
    return Times(
        zone=_zone(zone, sure, subject),
        windows=windows,
        is_unsure=not windows and bool(of_kind([*unsure, *outside], EntryKind.WINDOW)),
        freezes=tuple(_freeze(one, subject) for one in of_kind(entries, EntryKind.FREEZE)),
        hours=_hours(sure, unsure, subject) or (DEFAULT_HOURS,),
    )


def _window(entry: Entry, subject: Subject) -> Window:
    window = window_in(entry)
    return window if subject.tells_of(entry) else replace(window, name=_OF_ANOTHER)


def _freeze(entry: Entry, subject: Subject) -> Freeze:
    freeze = freeze_in(entry)
    return freeze if subject.tells_of(entry) else replace(freeze, reason=_OF_ANOTHER)


def _hours(
    sure: Collection[Entry], unsure: Collection[Entry], subject: Subject
) -> tuple[BusinessHours, ...]:
    holding = [*_holding(sure, subject), *of_kind(unsure, EntryKind.HOURS)]
    return tuple(map(hours_in, holding))


def _holding(entries: Collection[Entry], subject: Subject) -> Sequence[Entry]:
    """Return the business hours that hold: of collections, else of the location, else of all."""
    hours = of_kind(entries, EntryKind.HOURS)
    of_collections = [one for one in hours if one.collection is not None]
    location, site = _of_location(hours, subject), _of_site(hours)
    return hours_that_hold(of_collections, location, site)


def _zone(asked: str, entries: Sequence[Entry], subject: Subject) -> tzinfo:
    """Return the zone asked for, else the machine's, its location's or the site's, else UTC."""
    if asked or subject.zone:
        return zone_of(asked or subject.zone)
    hours = of_kind(entries, EntryKind.HOURS)
    for entry in (_of_location(hours, subject), _of_site(hours)):
        if entry is not None and (zone := kept_hours(entry).zone):
            return zone_of(zone)
    return UTC


def _of_location(hours: Iterable[Entry], subject: Subject) -> Entry | None:
    place = subject.location.casefold()
    found = (one for one in hours if place and one.location.casefold() == place)
    return next(found, None)


def _of_site(hours: Iterable[Entry]) -> Entry | None:
    return next((one for one in hours if one.collection is None and not one.location), None)
