"""Maintenance windows, freezes and business hours: when a machine may be changed, as instants.

They are stated in wall time, of the machine's own clock or of UTC, and become instants here: a
window whose time a change of clocks leaves out opens at the first moment that there is, one whose
time comes twice opens once, and either lasts its real length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from enum import StrEnum
from typing import TypeVar, assert_never

from patchtide.domain.schedules.days import DAY, LAST_DAY, Days, check_day, days_between
from patchtide.domain.schedules.recurrence import instant_of
from patchtide.domain.schedules.spans import Span, united

T = TypeVar("T")
SHORTEST_WINDOW, LONGEST_WINDOW = timedelta(minutes=5), timedelta(days=7)
LONGEST_FREEZE = timedelta(days=366)
_FARTHEST = timezone(timedelta(hours=-12)), timezone(timedelta(hours=14))
"""No clock on earth is beyond these."""


class Clock(StrEnum):
    """By which clock a time of day is meant."""

    MACHINE = "machine"
    UTC = "utc"

    def zone(self, machine: tzinfo) -> tzinfo:
        return machine if self is Clock.MACHINE else UTC


class Work(StrEnum):
    """What is to be done to a machine, as far as windows tell it apart."""

    UPDATES = "updates"
    OTHER = "other"


class Covers(StrEnum):
    """What a window is for."""

    EVERYTHING = "everything"
    UPDATES = "updates"

    def serves(self, work: Work) -> bool:
        match self:
            case Covers.EVERYTHING:
                return True
            case Covers.UPDATES:
                return work is Work.UPDATES
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When machines may be changed: from a time of these days on, for that long."""

    name: str = ""
    days: Days
    at: time
    length: timedelta
    clock: Clock = Clock.MACHINE
    covers: Covers = Covers.EVERYTHING
    until: date | None = None
    """The last day on which it opens."""

    def __post_init__(self) -> None:
        if not SHORTEST_WINDOW <= self.length <= LONGEST_WINDOW:
            raise ValueError("a window is open for 5 minutes to 7 days")

    def is_over(self, now: datetime) -> bool:
        """Say whether it opens no more, or never does, wherever a machine may be."""
        days = days_between(self.days, (now - self.length).date() - DAY, self.until or LAST_DAY)
        zone = self.clock.zone(_FARTHEST[0])
        return all(instant_of(day, self.at, zone) + self.length <= now for day in days)

    def openings(self, during: Span, machine: tzinfo) -> Iterator[Span]:
        """Yield its openings that reach into that span, whole."""
        zone = self.clock.zone(machine)
        # A day on each side: a time that is left out may move to the next one.
        first = (during.begins - self.length).astimezone(zone).date() - DAY
        last = min(during.ends.astimezone(zone).date(), self.until or LAST_DAY)
        for day in days_between(self.days, first, last):
            begins = instant_of(day, self.at, zone)
            opening = Span(begins, begins + self.length)
            if opening.ends > during.begins and begins < during.ends:
                yield opening


def wall_time(text: str) -> datetime:
    """Return what clocks show by `2026-12-18 18:00`, wherever they are.

    Raises:
        ValueError: it is no such moment.
    """
    return datetime.strptime(text.replace("T", " "), "%Y-%m-%d %H:%M")  # noqa: DTZ007


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """Nothing is changed from then to then, whatever windows say; the times are wall times."""

    begins: datetime
    ends: datetime
    clock: Clock = Clock.MACHINE
    reason: str

    def __post_init__(self) -> None:
        if self.begins.tzinfo is not None or self.ends.tzinfo is not None:
            raise ValueError("a freeze is told in wall time")
        check_day(self.begins.date())
        check_day(self.ends.date())
        if not timedelta(0) < self.ends - self.begins <= LONGEST_FREEZE:
            raise ValueError("a freeze ends after it begins, within a year")

    def span(self, machine: tzinfo) -> Span:
        zone = self.clock.zone(machine)
        return Span(
            instant_of(self.begins.date(), self.begins.time(), zone),
            instant_of(self.ends.date(), self.ends.time(), zone, later=True),
        )

    def is_over(self, now: datetime) -> bool:
        """Say whether it is in the past wherever a machine may be."""
        return all(self.span(zone).ends <= now for zone in _FARTHEST)

    def holds_with(self, other: Freeze) -> bool:
        """Say whether it holds wherever and whenever the other one does."""
        is_within = self.begins <= other.begins and other.ends <= self.ends
        return self.clock is other.clock and is_within


@dataclass(frozen=True, slots=True, kw_only=True)
class Holiday:
    """A day on which nobody works, in that year or in all of them."""

    day: date
    name: str = ""
    yearly: bool = False

    def is_on(self, day: date) -> bool:
        if self.yearly:
            return (day.month, day.day) == (self.day.month, self.day.day)
        return day == self.day


WORKING_WEEK = frozenset(range(5))


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessHours:
    """When people work at a machine, by its own clock; not on holidays.

    What ends no later than it begins ends on the next day.
    """

    weekdays: frozenset[int] = WORKING_WEEK
    begins: time = time(8)
    ends: time = time(18)
    holidays: tuple[Holiday, ...] = ()

    def __post_init__(self) -> None:
        if not self.weekdays <= frozenset(range(7)):
            raise ValueError("a week has days 0 to 6")

    def is_worked(self, day: date) -> bool:
        return day.weekday() in self.weekdays and not any(
            holiday.is_on(day) for holiday in self.holidays
        )

    def spans(self, during: Span, zone: tzinfo) -> Iterator[Span]:
        """Yield the hours that reach into that span, whole.

        From the first moment at which clocks show their begin to the last that is before their
        end: of an hour that comes twice people work in both.
        """
        over_night = DAY if self.ends <= self.begins else timedelta(0)
        day = during.begins.astimezone(zone).date() - 2 * DAY
        last = during.ends.astimezone(zone).date()
        while (day := day + DAY) <= last:
            if self.is_worked(day):
                yield Span(
                    instant_of(day, self.begins, zone),
                    instant_of(day + over_night, self.ends, zone, later=True),
                )


DEFAULT_HOURS = BusinessHours()


def openings(windows: Iterable[Window], during: Span, machine: tzinfo) -> list[Span]:
    """Return when at least one of the windows is open, of all that reach into that span."""
    return united(one for window in windows for one in window.openings(during, machine))


def hours_of(collections: Iterable[T], location: T | None, site: T | None) -> tuple[T, ...]:
    """Return whose business hours a machine has: its collections', else its location's, or all's.

    It may be in several collections that have some: then people work in the hours of each.
    """
    of_collections = tuple(collections)
    return of_collections or tuple(one for one in (location or site,) if one is not None)
