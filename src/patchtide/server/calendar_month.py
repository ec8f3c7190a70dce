"""A month of the calendar: when a machine or a collection may be changed, day by day."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.domain.schedules.days import DAY
from patchtide.domain.schedules.month import Mark, marked, weeks_of
from patchtide.server.calendar_book import times_of
from patchtide.server.context import Call
from patchtide.server.openings import Zone, checked_zone, subject_of
from patchtide.server.patterns import MONTH, or_nothing
from patchtide.server.table import Input, Output

_FIRST, _LAST = date(1970, 2, 1), date(2199, 12, 1)


class MonthOf(Input, kw_only=True, frozen=True):
    collection: Annotated[
        UUID | None,
        Meta(description="By this collection's own windows; its id. Else of all machines."),
    ] = None
    machine: Annotated[
        UUID | None, Meta(description="Of all windows of this machine, by its id.")
    ] = None
    month: Annotated[
        str, Meta(pattern=or_nothing(MONTH), description="As 2026-12; else this one.")
    ] = ""
    zone: Zone = ""


class CalendarMark(Output, kw_only=True, frozen=True):
    day: str
    kind: str
    """`window`, `freeze` or `holiday`."""
    title: str
    when: str
    """On that day, as clocks show it there; empty: all of it."""
    begins: datetime | None
    """The whole of it, on other days too; null: a holiday is a day."""
    ends: datetime | None


class CalendarDay(Output, kw_only=True, frozen=True):
    day: str
    is_today: bool
    is_of_month: bool
    marks: tuple[CalendarMark, ...]


class CalendarMonth(Output, kw_only=True, frozen=True):
    of: str
    """Whose it is."""
    zone: str
    """By clocks there."""
    month: str
    has_windows: bool
    """Without any window machines may be changed at any time, but for freezes."""
    is_unsure: bool
    """Nobody knows by which windows it goes, so it may not be changed."""
    days: tuple[CalendarDay, ...]
    """Of whole weeks, from a Monday on."""
    items: tuple[CalendarMark, ...]
    """What falls on the days of the month."""


async def show_month(call: Call, principal: Principal, asked: MonthOf) -> CalendarMonth:
    """Raises InvalidDocument or NotFound."""
    wanted = _month(asked.month)
    subject = await subject_of(call, principal, asked.collection, asked.machine)
    times = await times_of(call, subject, zone=checked_zone(asked.zone))
    today = call.now.astimezone(times.zone).date()
    month = wanted or today.replace(day=1)
    found = await call.read(lambda: marked(times, weeks_of(month)))
    days = tuple(_shown(day, marks, month, today) for day, marks in found.items())
    return CalendarMonth(
        of=subject.name,
        zone=str(times.zone),
        month=f"{month:%Y-%m}",
        has_windows=bool(times.windows),
        is_unsure=times.is_unsure,
        days=days,
        items=tuple(mark for day in days if day.is_of_month for mark in day.marks),
    )


def _month(text: str) -> date | None:
    """Raises InvalidDocument."""
    if not text:
        return None
    year, _, month = text.partition("-")
    try:
        found = date(int(year), int(month), 1)
    except ValueError:
        found = date.max
    if not _FIRST <= found <= _LAST:
        raise InvalidDocument([Problem("month", "is a month, as 2026-12")])
    return found


def beside(month: str) -> tuple[str, str]:
    """Return the month before that one, and the one after; of the ends of time, those."""
    first = _month(month) or _FIRST
    before, after = first - DAY, (first + 31 * DAY).replace(day=1)
    return f"{max(before, _FIRST):%Y-%m}", f"{min(after, _LAST):%Y-%m}"


def _shown(day: date, marks: list[Mark], month: date, today: date) -> CalendarDay:
    return CalendarDay(
        day=day.isoformat(),
        is_today=day == today,
        is_of_month=(day.year, day.month) == (month.year, month.month),
        marks=tuple(
            CalendarMark(
                day=day.isoformat(),
                kind=mark.kind,
                title=mark.title,
                when=mark.when,
                begins=mark.span.begins if mark.span else None,
                ends=mark.span.ends if mark.span else None,
            )
            for mark in marks
        ),
    )
