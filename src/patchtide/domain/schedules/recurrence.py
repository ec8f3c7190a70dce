"""What comes again: every so often, on days of the week, or by a vendor's calendar.

Days and times of day are local, of a zone with a name; instants come out. A time that a change of
clocks leaves out is the first moment after it, one that comes twice is the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from patchtide.domain.schedules.calendar import CYCLES

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
LONGEST_RUN = 28


@dataclass(frozen=True, slots=True)
class Never:
    """Only when somebody asks."""


@dataclass(frozen=True, slots=True)
class Every:
    """So long after it began the last time."""

    length: timedelta

    def __post_init__(self) -> None:
        if self.length <= timedelta(0):
            raise ValueError("a schedule goes on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """On these days of the week; 0 is Monday."""

    days: frozenset[int]
    at: time
    zone: ZoneInfo

    def __post_init__(self) -> None:
        if not self.days or not self.days <= frozenset(range(7)):
            raise ValueError("a week has days 0 to 6, and one of them at least is meant")

    def is_on(self, day: date) -> bool:
        return day.weekday() in self.days


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCycle:
    """So many days after a vendor's day (before it, if negative), and the days that follow."""

    cycle: str
    days_after: int = 0
    for_days: int = 1
    at: time
    zone: ZoneInfo

    def __post_init__(self) -> None:
        if self.cycle not in CYCLES:
            raise ValueError(f"a cycle is one of {', '.join(sorted(CYCLES))}")
        if not 1 <= self.for_days <= LONGEST_RUN or abs(self.days_after) > LONGEST_RUN:
            raise ValueError(f"a schedule stays within {LONGEST_RUN} days of its cycle")

    def is_on(self, day: date) -> bool:
        moved = day - self.days_after * DAY
        return moved - CYCLES[self.cycle].last(moved) < self.for_days * DAY


Schedule = Never | Every | Weekly | OnCycle
_HORIZON = 400
"""Days in which every recurrence comes at least once."""


def next_after(schedule: Schedule, moment: datetime) -> datetime | None:
    """Return when it comes again after that moment; None: never by itself."""
    match schedule:
        case Never():
            return None
        case Every(length):
            return moment + length
        case Weekly() | OnCycle():
            return _next_day(schedule, moment)


def _next_day(schedule: Weekly | OnCycle, moment: datetime) -> datetime:
    first = moment.astimezone(schedule.zone).date()
    for ahead in range(_HORIZON):
        day = first + ahead * DAY
        if schedule.is_on(day):
            found = instant_of(day, schedule.at, schedule.zone)
            if found > moment:
                return found
    raise LookupError("a recurrence comes once a year at least")


def instant_of(day: date, at: time, zone: tzinfo, *, later: bool = False) -> datetime:
    """Return when the clocks of that zone show that time, on that day.

    A time that is left out counts as the first moment that there is. Of one that comes twice it is
    the first, or the second with `later`.
    """
    wall = datetime.combine(day, at, zone)
    first, second = wall.astimezone(UTC), wall.replace(fold=1).astimezone(UTC)
    if second < first:
        return _change_between(second, first, zone)
    return second if later else first


def _change_between(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Return when the clocks of that zone were changed, to the second."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > SECOND:
        middle = before + (after - before) // SECOND // 2 * SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
