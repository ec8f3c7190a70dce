"""Days that come again: every so often, by the week, by the month, or by a vendor's calendar.

Days alone, without a time and without a zone: a window or a schedule adds those. What comes only
every so many weeks or months is counted from the day since which it is so.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from patchtide.domain.schedules.calendar import CYCLES

DAY = timedelta(days=1)
LAST = -1
"""In the place of a number: the last such weekday of the month."""
MOST_DAYS, MOST_WEEKS, MOST_MONTHS = 366, 52, 12
FARTHEST_FROM_CYCLE = 28
SPARSEST = 400
"""Days in which what comes again comes once at least."""
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)


@dataclass(frozen=True, slots=True)
class Once:
    """One day, and none after it."""

    day: date

    def __post_init__(self) -> None:
        check_day(self.day)

    def first_from(self, day: date) -> date | None:
        return self.day if self.day >= day else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryDays:
    """Every so many days, the first of them being `since`."""

    every: int = 1
    since: date

    def __post_init__(self) -> None:
        check_day(self.since)
        _check_every(self.every, MOST_DAYS, "days")

    def first_from(self, day: date) -> date:
        missing = max((day - self.since).days, 0)
        return self.since + -(-missing // self.every) * self.every * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryWeeks:
    """These days of every so many weeks; the first week is that of `since`, 0 is Monday."""

    every: int = 1
    weekdays: frozenset[int]
    since: date

    def __post_init__(self) -> None:
        check_day(self.since)
        _check_every(self.every, MOST_WEEKS, "weeks")
        if not self.weekdays or not self.weekdays <= frozenset(range(7)):
            raise ValueError("a week has days 0 to 6, and one of them at least is meant")

    def first_from(self, day: date) -> date:
        day = max(day, self.since)
        begins = self.since - self.since.weekday() * DAY
        week = (day - begins).days // 7
        if week % self.every == 0:
            rest = [one for one in self.weekdays if one >= day.weekday()]
            if rest:
                return day + (min(rest) - day.weekday()) * DAY
            week += 1
        week = -(-week // self.every) * self.every
        return begins + (7 * week + min(self.weekdays)) * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyOnDay:
    """A day of every so many months; a month that is too short has it on its last day."""

    every: int = 1
    day: int
    since: date

    def __post_init__(self) -> None:
        check_day(self.since)
        _check_every(self.every, MOST_MONTHS, "months")
        if not 1 <= self.day <= 31:
            raise ValueError("a month has days 1 to 31")

    def first_from(self, day: date) -> date:
        day = max(day, self.since)
        found = (
            date(year, month, min(self.day, monthrange(year, month)[1]))
            for year, month in _months(self.since, day, self.every)
        )
        return next(one for one in found if one >= day)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyOnWeekday:
    """The first to fourth, or the last such weekday of every so many months; 0 is Monday."""

    every: int = 1
    nth: int
    weekday: int
    since: date

    def __post_init__(self) -> None:
        check_day(self.since)
        _check_every(self.every, MOST_MONTHS, "months")
        if self.nth not in (1, 2, 3, 4, LAST) or not 0 <= self.weekday <= 6:
            raise ValueError("it is the first to fourth, or the last, of the weekdays 0 to 6")

    def first_from(self, day: date) -> date:
        day = max(day, self.since)
        found = (self._of(year, month) for year, month in _months(self.since, day, self.every))
        return next(one for one in found if one >= day)

    def _of(self, year: int, month: int) -> date:
        begins_on, length = monthrange(year, month)
        first = 1 + (self.weekday - begins_on) % 7
        nth = self.nth - 1 if self.nth != LAST else (length - first) // 7
        return date(year, month, first + 7 * nth)


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterCycle:
    """So many days after a vendor's day, or before it if negative; from `since` on."""

    cycle: str
    days_after: int = 0
    since: date

    def __post_init__(self) -> None:
        check_day(self.since)
        if self.cycle not in CYCLES:
            raise ValueError(f"a cycle is one of {', '.join(sorted(CYCLES))}")
        if abs(self.days_after) > FARTHEST_FROM_CYCLE:
            raise ValueError(f"it stays within {FARTHEST_FROM_CYCLE} days of its cycle")

    def first_from(self, day: date) -> date:
        moved = self.days_after * DAY
        return CYCLES[self.cycle].next(max(day, self.since) - moved - DAY) + moved


Days = Once | EveryDays | EveryWeeks | MonthlyOnDay | MonthlyOnWeekday | AfterCycle
"""Each says which of its days is the first that is not before a day; None: there is none."""


def days_between(days: Days, first: date, last: date) -> Iterator[date]:
    """Yield those that are neither before the first nor after the last day."""
    day = days.first_from(first)
    while day is not None and day <= last:
        yield day
        day = days.first_from(day + DAY)


def _months(since: date, day: date, every: int) -> Iterator[tuple[int, int]]:
    """Yield (year, month), every so many from the month of `since`, that do not end before it."""
    begins = since.year * 12 + since.month - 1
    missing = day.year * 12 + day.month - 1 - begins
    place = begins + -(-missing // every) * every
    while True:
        year, month = divmod(place, 12)
        yield year, month + 1
        place += every


def _check_every(every: int, most: int, unit: str) -> None:
    if not 1 <= every <= most:
        raise ValueError(f"it comes every 1 to {most} {unit}")


def check_day(day: date) -> None:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"a day is between {FIRST_DAY} and {LAST_DAY}")
