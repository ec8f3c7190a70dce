"""When machines may be changed: openings, whether one may be changed now, a calendar's feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.errors import InvalidDocument, NotFound, Problem
from patchtide.domain.schedules.permission import Times, Wanted, allowed, may_change, upcoming
from patchtide.domain.schedules.recurrence import instant_of
from patchtide.domain.schedules.spans import Span
from patchtide.domain.schedules.windows import Freeze, Window, Work
from patchtide.domain.schedules.wording import (
    freeze_in_words,
    verdict_in_words,
    window_in_words,
)
from patchtide.server.calendar_book import Subject, subject_of_machine, times_of
from patchtide.server.calendar_entries import CollectionId, collection_names, narrowed
from patchtide.server.calendar_feed import Event, icalendar
from patchtide.server.context import Call
from patchtide.server.machines import MachineId
from patchtide.server.patterns import LINE
from patchtide.server.said_times import Reading, SaidWindow, window_of, zone_of
from patchtide.server.table import Input, Output

PREVIEWED = 6
FED = timedelta(days=400)
"""So far ahead a feed goes; calendar programs ask again."""
Zone = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=LINE,
        description="By clocks there, as Europe/Berlin; else by the location's, or the site's.",
    ),
]
WorkAsked = Annotated[Work, Meta(description="To install updates, or for something else.")]


class ListOpenings(Input, kw_only=True, frozen=True):
    collection: Annotated[
        UUID | None,
        Meta(description="By this collection's own windows; its id. Else of all machines."),
    ] = None
    machine: Annotated[
        UUID | None, Meta(description="Of all windows of this machine, by its id.")
    ] = None
    since: Annotated[str, Meta(max_length=10, description="From that day on; else from now.")] = ""
    days: Annotated[int, Meta(ge=1, le=400, description="So many days.")] = 60
    zone: Zone = ""
    work: WorkAsked = Work.UPDATES


class AskMachine(Input, kw_only=True, frozen=True):
    machine: MachineId
    minutes: Annotated[
        int, Meta(ge=0, le=10_080, description="How long it takes, with its restart.")
    ] = 0
    work: WorkAsked = Work.UPDATES
    emergency: Annotated[bool, Meta(description="It passes a freeze.")] = False
    ignore_windows: Annotated[bool, Meta(description="It passes windows.")] = False
    keep_out_of_hours: Annotated[
        bool, Meta(description="It minds business hours, as rollouts and forced restarts do.")
    ] = False
    zone: Zone = ""


class PreviewWindow(SaidWindow, kw_only=True, frozen=True):
    zone: Zone = ""


class FeedOf(Input, kw_only=True, frozen=True):
    collection: CollectionId
    zone: Zone = ""


class FeedOfMachine(Input, kw_only=True, frozen=True):
    machine: MachineId
    zone: Zone = ""


class Opening(Output, kw_only=True, frozen=True):
    begins: datetime
    ends: datetime
    local_begins: str
    """As clocks show it there."""
    local_ends: str
    minutes: int


class Frozen(Output, kw_only=True, frozen=True):
    begins: datetime
    ends: datetime
    reason: str
    words: str
    is_on: bool


class OpeningList(Output, kw_only=True, frozen=True):
    items: tuple[Opening, ...]
    of: str
    """Whose they are."""
    zone: str
    """By clocks there; the machine's own clock says when it really opens."""
    windows: str
    """The windows that they are of, in words, one a line; none: it may be changed at any time."""
    is_unsure: bool
    """Nobody knows by which windows it goes, so it may not be changed."""
    freezes: tuple[Frozen, ...]
    """What is left out of them; those that are over are not told."""


class Answer(Output, kw_only=True, frozen=True):
    may: bool
    why: str
    """A code that stays the same."""
    words: str
    """Answer and reason, as one sentence."""
    until: datetime | None
    """If it may: until then; null: no end is in sight."""
    next: datetime | None
    """If not: from then on; null: never, as things are."""
    zone: str


class Previewed(Output, kw_only=True, frozen=True):
    words: str
    items: tuple[Opening, ...]
    """When it opens next."""


async def list_openings(call: Call, principal: Principal, asked: ListOpenings) -> OpeningList:
    """Raises InvalidDocument or NotFound."""
    subject = await subject_of(call, principal, asked.collection, asked.machine)
    times = await times_of(call, subject, zone=checked_zone(asked.zone))
    during = _during(asked, times.zone, call.now)
    wanted = Wanted(work=asked.work)
    spans = await call.read(lambda: allowed(times, wanted, during)) if times.windows else []
    return OpeningList(
        items=tuple(opening(span, times.zone) for span in spans),
        of=subject.name,
        zone=str(times.zone),
        windows="\n".join(map(_named_words, times.windows)),
        is_unsure=times.is_unsure,
        freezes=_frozen(times, call.now),
    )


async def ask_machine(call: Call, principal: Principal, asked: AskMachine) -> Answer:
    """Raises InvalidDocument or NotFound."""
    subject = await subject_of_machine(call, principal, asked.machine)
    times = await times_of(call, subject, zone=checked_zone(asked.zone))
    times = replace(times, build=subject.build)
    wanted = Wanted(
        work=asked.work,
        needs=timedelta(minutes=asked.minutes),
        is_emergency=asked.emergency,
        ignores_windows=asked.ignore_windows,
        keeps_out_of_hours=asked.keep_out_of_hours,
    )
    verdict = await call.read(lambda: may_change(times, wanted, call.now))
    return Answer(
        may=verdict.may,
        why=verdict.why,
        words=verdict_in_words(verdict, times.zone),
        until=verdict.until,
        next=verdict.next,
        zone=str(times.zone),
    )


async def preview(call: Call, principal: Principal, asked: PreviewWindow) -> Previewed:
    """Raises InvalidDocument."""
    zone = zone_of(checked_zone(asked.zone))
    today = call.now.astimezone(zone).date()
    window = window_of(narrowed(asked, SaidWindow), name="", today=today)
    times = Times(zone=zone, windows=(window,))
    found = upcoming(times, Wanted(), call.now, most=PREVIEWED)
    return Previewed(
        words=window_in_words(window), items=tuple(opening(span, zone) for span in found)
    )


async def feed(call: Call, principal: Principal, asked: FeedOf) -> bytes:
    """Return a collection's windows and freezes as calendar programs read them.

    Raises:
        InvalidDocument
        NotFound
    """
    return await _fed(call, await _of_collection(call, asked.collection), asked.zone)


async def feed_machine(call: Call, principal: Principal, asked: FeedOfMachine) -> bytes:
    """Return the same of all windows and freezes by which a machine goes.

    Raises:
        InvalidDocument
        NotFound
    """
    subject = await subject_of_machine(call, principal, asked.machine)
    return await _fed(call, subject, asked.zone)


async def _fed(call: Call, subject: Subject, zone: str) -> bytes:
    times = await times_of(call, subject, zone=checked_zone(zone))
    during = Span(call.now - timedelta(days=31), call.now + FED)

    def written() -> bytes:
        events = [
            *(event for window in times.windows for event in _openings_of(window, times, during)),
            *(_event_of(freeze, times) for freeze in times.freezes),
        ]
        return icalendar(events, name=f"Maintenance: {subject.name}", key=subject.id, now=call.now)

    return await call.read(written)


def opening(span: Span, zone: tzinfo) -> Opening:
    return Opening(
        begins=span.begins,
        ends=span.ends,
        local_begins=f"{span.begins.astimezone(zone):%Y-%m-%d %H:%M}",
        local_ends=f"{span.ends.astimezone(zone):%Y-%m-%d %H:%M}",
        minutes=span.length // timedelta(minutes=1),
    )


def _openings_of(window: Window, times: Times, during: Span) -> Sequence[Event]:
    """Each window by itself: a calendar shows what overlaps, and each has its name."""
    one = Times(zone=times.zone, windows=(window,), freezes=times.freezes)
    words = window_in_words(window)
    return [
        Event(begins=span.begins, ends=span.ends, title=window.name or "Maintenance", text=words)
        for span in allowed(one, Wanted(), during)
    ]


def _event_of(freeze: Freeze, times: Times) -> Event:
    span = freeze.span(times.zone)
    return Event(
        begins=span.begins,
        ends=span.ends,
        title=f"Freeze: {freeze.reason}",
        text=freeze_in_words(freeze),
    )


def _frozen(times: Times, now: datetime) -> tuple[Frozen, ...]:
    spans = [(one.span(times.zone), one) for one in times.freezes]
    return tuple(
        Frozen(
            begins=span.begins,
            ends=span.ends,
            reason=freeze.reason,
            words=freeze_in_words(freeze),
            is_on=span.has(now),
        )
        for span, freeze in sorted(spans, key=lambda pair: pair[0])
        if span.ends > now
    )


def _named_words(window: Window) -> str:
    return f"{window.name}: {window_in_words(window)}"


def _during(asked: ListOpenings, zone: tzinfo, now: datetime) -> Span:
    reading = Reading()
    day: date | None = reading.day("since", asked.since)
    reading.check()
    begins = now if day is None else instant_of(day, time(), zone)
    return Span(begins, begins + timedelta(days=asked.days))


def checked_zone(zone: str) -> str:
    reading = Reading()
    reading.zone("zone", zone)
    reading.check()
    return zone


async def subject_of(
    call: Call, principal: Principal, collection: UUID | None, machine: UUID | None
) -> Subject:
    """Raises InvalidDocument or NotFound."""
    if machine is None:
        return await _of_collection(call, collection or ALL_MACHINES)
    if collection is not None:
        raise InvalidDocument([Problem("machine", "or a collection is named, and not both")])
    return await subject_of_machine(call, principal, machine)


async def _of_collection(call: Call, collection: UUID) -> Subject:
    """Raises NotFound."""
    names = await collection_names(call)
    if collection not in names:
        raise NotFound(f"there is no collection {collection}")
    return Subject(id=collection, name=names[collection], collections=(collection,))
