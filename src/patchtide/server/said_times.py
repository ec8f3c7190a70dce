"""Windows, freezes and business hours in the words in which people give them and they are kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Meta

from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.domain.schedules.days import (
    LAST,
    AfterCycle,
    Days,
    EveryDays,
    EveryWeeks,
    MonthlyOnDay,
    MonthlyOnWeekday,
    Once,
)
from patchtide.domain.schedules.windows import (
    BusinessHours,
    Clock,
    Covers,
    Freeze,
    Holiday,
    Window,
    wall_time,
)
from patchtide.server.patterns import LINE
from patchtide.server.synchronisation_plan import DAYS, CycleName, Day
from patchtide.server.table import Input

T = TypeVar("T")
Comes = Literal["once", "days", "weeks", "month-day", "weekday", "cycle"]
Nth = Literal["first", "second", "third", "fourth", "last"]
_NTH = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": LAST}
ClockTime = Annotated[str, Meta(max_length=5)]
Line = Annotated[str, Meta(max_length=256, pattern=LINE)]
HOLIDAYS = 400


class SaidWindow(Input, kw_only=True, frozen=True):
    comes: Annotated[
        Comes,
        Meta(
            description="How it comes again: once, every so many days, on days of every so many"
            " weeks, on a day of the month, on a weekday of the month, or by a vendor's calendar."
        ),
    ]
    at: Annotated[ClockTime, Meta(description="When it opens, as 22:00.")]
    length_min: Annotated[
        int, Meta(ge=5, le=10_080, description="For so many minutes it is open.")
    ] = 240
    every: Annotated[
        int, Meta(ge=1, le=366, description="Every so many days, weeks or months.")
    ] = 1
    on: Annotated[
        tuple[Day, ...], Meta(max_length=7, description="The days of the week, by weeks.")
    ] = ()
    day: Annotated[
        int, Meta(ge=1, le=31, description="The day of the month; a short month has its last.")
    ] = 1
    nth: Annotated[Nth, Meta(description="Which weekday of the month.")] = "first"
    weekday: Annotated[Day, Meta(description="That weekday.")] = "monday"
    cycle: Annotated[CycleName, Meta(description="The vendor's calendar.")] = "patch-tuesday"
    days_after: Annotated[
        int, Meta(ge=-28, le=28, description="Days after the vendor's day; before it, if negative.")
    ] = 0
    since: Annotated[
        str,
        Meta(max_length=10, description="The first day it may open, or its only one; else today."),
    ] = ""
    until: Annotated[str, Meta(max_length=10, description="The last day it may open.")] = ""
    clock: Annotated[Clock, Meta(description="By the machine's own clock, or by UTC.")] = (
        Clock.MACHINE
    )
    covers: Annotated[Covers, Meta(description="For everything, or for updates only.")] = (
        Covers.EVERYTHING
    )


class SaidFreeze(Input, kw_only=True, frozen=True):
    begins: Annotated[str, Meta(max_length=16, description="From then on: 2026-12-18 18:00.")]
    ends: Annotated[str, Meta(max_length=16, description="Until then: 2027-01-04 06:00.")]
    reason: Annotated[Line, Meta(description="Why; whoever is held up by it reads that.")]
    clock: Annotated[Clock, Meta(description="By the machine's own clock, or by UTC.")] = (
        Clock.MACHINE
    )


class SaidHours(Input, kw_only=True, frozen=True):
    on: Annotated[
        tuple[Day, ...], Meta(max_length=7, description="The days on which people work.")
    ] = DAYS[:5]  # type: ignore[assignment]
    begins: Annotated[ClockTime, Meta(description="From then on, as 08:00.")] = "08:00"
    ends: Annotated[
        ClockTime, Meta(description="Until then; no later than the begin: on the next day.")
    ] = "18:00"
    holidays: Annotated[
        tuple[Line, ...],
        Meta(
            max_length=HOLIDAYS,
            description="Days on which nobody works: `2026-04-03 Good Friday`, or each year"
            " `12-25 Christmas`.",
        ),
    ] = ()
    zone: Annotated[
        str,
        Meta(max_length=64, description="The time zone there, as Europe/Berlin: for forecasts."),
    ] = ""


class Reading:
    """Reads words, and keeps what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def time(self, where: str, text: str) -> time:
        found = self._read(where, "is a time of day, as 22:00", lambda: _parsed(text, "%H:%M"))
        return found.time() if found else time()

    def day(self, where: str, text: str) -> date | None:
        if not text:
            return None
        found = self._read(where, "is a day, as 2026-12-24", lambda: _parsed(text, "%Y-%m-%d"))
        return found.date() if found else None

    def moment(self, where: str, text: str) -> datetime:
        what = "is a day and a time, as 2026-12-24 18:00"
        return self._read(where, what, lambda: wall_time(text)) or wall_time("2000-01-01 00:00")

    def holiday(self, where: str, text: str) -> Holiday | None:
        said, _, name = text.strip().partition(" ")
        # A year in which there is a 29th of February stands for all.
        yearly = said.count("-") == 1
        day = self.day(where, f"2000-{said}" if yearly else said)
        return Holiday(day=day, name=name.strip(), yearly=yearly) if day else None

    def zone(self, where: str, name: str) -> tzinfo:
        what = "is no time zone, as Europe/Berlin or UTC"
        return self._read(where, what, lambda: zone_of(name)) or UTC

    def made(self, where: str, make: Callable[[], T]) -> T:
        """Return what is made, once everything was read.

        Raises:
            InvalidDocument: with every mistake.
        """
        self.check()
        try:
            return make()
        except ValueError as error:
            raise InvalidDocument([Problem(where, str(error))]) from error

    def check(self) -> None:
        if self.problems:
            raise InvalidDocument(self.problems)

    def _read(self, where: str, what: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except (ValueError, OSError, LookupError):
            self.problems.append(Problem(where, what))
            return None


def window_of(said: SaidWindow, *, name: str, today: date) -> Window:
    """Return what the words mean.

    Raises:
        InvalidDocument: with every mistake in them.
    """
    reading = Reading()
    at, until = reading.time("at", said.at), reading.day("until", said.until)
    since = reading.day("since", said.since)
    if said.comes == "once" and not said.since:
        reading.problems.append(Problem("since", "is missing: the day on which it opens"))
    if said.comes == "weeks" and not said.on:
        reading.problems.append(Problem("on", "is missing: the days of the week on which it opens"))
    return reading.made(
        "comes",
        lambda: Window(
            name=name,
            days=_days(said, since or today),
            at=at,
            length=timedelta(minutes=said.length_min),
            clock=said.clock,
            covers=said.covers,
            until=until,
        ),
    )


def _days(said: SaidWindow, since: date) -> Days:
    match said.comes:
        case "once":
            return Once(since)
        case "days":
            return EveryDays(every=said.every, since=since)
        case "weeks":
            weekdays = frozenset(map(DAYS.index, said.on))
            return EveryWeeks(every=said.every, weekdays=weekdays, since=since)
        case "month-day":
            return MonthlyOnDay(every=said.every, day=said.day, since=since)
        case "weekday":
            nth, weekday = _NTH[said.nth], DAYS.index(said.weekday)
            return MonthlyOnWeekday(every=said.every, nth=nth, weekday=weekday, since=since)
        case "cycle":
            cycle = said.cycle or "patch-tuesday"
            return AfterCycle(cycle=cycle, days_after=said.days_after, since=since)


def freeze_of(said: SaidFreeze) -> Freeze:
    """Raises InvalidDocument."""
    reading = Reading()
    begins, ends = reading.moment("begins", said.begins), reading.moment("ends", said.ends)
    return reading.made(
        "ends", lambda: Freeze(begins=begins, ends=ends, clock=said.clock, reason=said.reason)
    )


def hours_of(said: SaidHours) -> BusinessHours:
    """Raises InvalidDocument."""
    reading = Reading()
    begins, ends = reading.time("begins", said.begins), reading.time("ends", said.ends)
    holidays = [reading.holiday(f"holidays[{n}]", text) for n, text in enumerate(said.holidays)]
    if said.zone:
        reading.zone("zone", said.zone)
    return reading.made(
        "on",
        lambda: BusinessHours(
            weekdays=frozenset(map(DAYS.index, said.on)),
            begins=begins,
            ends=ends,
            holidays=tuple(one for one in holidays if one),
        ),
    )


def zone_of(name: str) -> tzinfo:
    """Raises LookupError, OSError or ValueError: there is none of this name."""
    return ZoneInfo(name) if name else UTC


def _parsed(text: str, form: str) -> datetime:
    """Wall time: no zone is meant."""
    return datetime.strptime(text, form).replace(tzinfo=None)  # noqa: DTZ007
