"""Windows, freezes and business hours, held against a clock that is read minute by minute.

The slow model knows no offsets. It looks at what the machine's clock shows in each minute: a window
opens in the first that shows its time or a later one, and then minutes are counted. So an hour that
is left out, or comes twice, needs no words.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from patchtide.domain.schedules.calendar import CYCLES, Cycle
from patchtide.domain.schedules.days import (
    LAST,
    AfterCycle,
    Days,
    EveryDays,
    EveryWeeks,
    MonthlyOnDay,
    MonthlyOnWeekday,
    Once,
    days_between,
)
from patchtide.domain.schedules.permission import (
    Times,
    Wanted,
    allowed,
    may_change,
    upcoming,
)
from patchtide.domain.schedules.spans import Span, united, without
from patchtide.domain.schedules.windows import (
    BusinessHours,
    Clock,
    Covers,
    Freeze,
    Holiday,
    Window,
    Work,
)

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
STRETCH, LONGEST_NEED, BEFORE, AFTER = 3 * 1440, 300, 2 * 1440, 1440
"""In minutes: what is compared, and what is looked at around it."""
STRETCHES = {
    "clocks go forward": ("Europe/Berlin", datetime(2026, 3, 27, 20, tzinfo=UTC)),
    "clocks go back": ("Europe/Berlin", datetime(2026, 10, 23, 20, tzinfo=UTC)),
    "half an hour forward": ("Australia/Lord_Howe", datetime(2026, 10, 2, tzinfo=UTC)),
    "half an hour back": ("Australia/Lord_Howe", datetime(2026, 4, 3, tzinfo=UTC)),
    "midnight is left out": ("America/Santiago", datetime(2026, 9, 5, tzinfo=UTC)),
    "midnight comes twice": ("America/Santiago", datetime(2026, 4, 3, tzinfo=UTC)),
    "a day is left out": ("Pacific/Apia", datetime(2011, 12, 29, tzinfo=UTC)),
    "the year ends": ("Asia/Kolkata", datetime(2026, 12, 30, tzinfo=UTC)),
    "a leap day": ("America/New_York", datetime(2028, 2, 27, 12, tzinfo=UTC)),
}


@cache
def shown(stretch: str) -> Sequence[datetime]:
    """What the clock shows in each minute, and in some around the stretch."""
    name, begins = STRETCHES[stretch]
    zone = ZoneInfo(name)
    minutes = range(-BEFORE, STRETCH + AFTER)
    return [(begins + n * MINUTE).astimezone(zone).replace(tzinfo=None) for n in minutes]


def slow_is_on(days: Days, day: date) -> bool:
    """Whether a day is one of them, as somebody counts who has a wall calendar."""
    match days:
        case Once(meant):
            return day == meant
        case EveryDays(every=every, since=since):
            return day in {since + n * every * DAY for n in range((day - since).days // every + 1)}
        case EveryWeeks(every=every, weekdays=weekdays, since=since):
            weeks = (monday(day) - monday(since)).days // 7
            return day >= since and day.weekday() in weekdays and weeks % every == 0
        case MonthlyOnDay(every=every, day=number, since=since):
            is_last = (day + DAY).month != day.month
            is_it = day.day == number or (is_last and day.day < number)
            return day >= since and months(since, day) % every == 0 and is_it
        case MonthlyOnWeekday(every=every, nth=nth, weekday=weekday, since=since):
            weeks_of = calendar.Calendar().monthdayscalendar(day.year, day.month)
            found = [week[weekday] for week in weeks_of if week[weekday]]
            meant_day = found[-1] if nth == LAST else found[nth - 1]
            return day >= since and months(since, day) % every == 0 and day.day == meant_day
        case AfterCycle(cycle=cycle, days_after=after, since=since):
            return day >= since and is_cycle_day(CYCLES[cycle], day - after * DAY)
        case _:
            raise AssertionError(days)


def is_cycle_day(cycle: Cycle, day: date) -> bool:
    day -= cycle.shift * DAY
    is_nth = (day.day - 1) // 7 + 1 == cycle.nth
    return is_nth and day.weekday() == cycle.weekday and day.month in cycle.months


def every_day(first: date, last: date) -> Sequence[date]:
    return [first + n * DAY for n in range((last - first).days + 1)]


def monday(day: date) -> date:
    return day - day.weekday() * DAY


def months(since: date, day: date) -> int:
    return (day.year - since.year) * 12 + day.month - since.month


@st.composite
def some_days(draw: st.DrawFn, around: date) -> Days:
    """Days of any kind, of which some may lie near that one."""
    since = around - draw(st.integers(-3, 800)) * DAY
    kinds: tuple[Callable[[], Days], ...] = (
        lambda: Once(around + draw(st.integers(-2, 5)) * DAY),
        lambda: EveryDays(every=draw(st.integers(1, 4)), since=since),
        lambda: EveryWeeks(
            every=draw(st.integers(1, 3)),
            weekdays=draw(st.frozensets(st.integers(0, 6), min_size=1)),
            since=since,
        ),
        lambda: MonthlyOnDay(
            every=draw(st.integers(1, 3)), day=draw(st.integers(1, 31)), since=since
        ),
        lambda: MonthlyOnWeekday(
            every=draw(st.integers(1, 3)),
            nth=draw(st.sampled_from([1, 2, 3, 4, LAST])),
            weekday=draw(st.integers(0, 6)),
            since=since,
        ),
        lambda: AfterCycle(
            cycle=draw(st.sampled_from(sorted(CYCLES))),
            days_after=draw(st.integers(-28, 28)),
            since=since,
        ),
    )
    return draw(st.sampled_from(kinds))()


# Times near those at which clocks are changed, oftener than others.
times_of_day = st.one_of(
    st.builds(time, st.integers(0, 3), st.sampled_from([0, 15, 30, 45])),
    st.builds(time, st.integers(0, 23), st.integers(0, 59)),
)


@st.composite
def some_windows(draw: st.DrawFn, around: date) -> Window:
    days = draw(some_days(around))
    return Window(
        days=days,
        at=draw(times_of_day),
        length=draw(st.sampled_from([5, 30, 90, 240, 1440, 1500, 2800])) * MINUTE,
        clock=draw(st.sampled_from(Clock)),
        covers=draw(st.sampled_from(Covers)),
        until=draw(st.none() | st.integers(-2, 6).map(lambda n: around + n * DAY)),
    )


@st.composite
def some_freezes(draw: st.DrawFn, begins: datetime) -> Freeze:
    wall = begins.replace(tzinfo=None) + draw(st.integers(-1440, STRETCH)) * MINUTE
    length = draw(st.integers(1, 2000)) * MINUTE
    clock = draw(st.sampled_from(Clock))
    return Freeze(begins=wall, ends=wall + length, clock=clock, reason="fair")


@st.composite
def some_hours(draw: st.DrawFn, around: date) -> BusinessHours:
    free = [Holiday(day=around + n * DAY) for n in draw(st.sets(st.integers(-1, 5), max_size=2))]
    every = [Holiday(day=date(2000, around.month, around.day), yearly=True)]
    return BusinessHours(
        weekdays=draw(st.frozensets(st.integers(0, 6))),
        begins=draw(times_of_day),
        ends=draw(times_of_day),
        holidays=tuple(draw(st.sampled_from([[], free, every]))),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Times, Wanted]:
    stretch = draw(st.sampled_from(sorted(STRETCHES)))
    name, begins = STRETCHES[stretch]
    around = begins.date() + DAY
    times = Times(
        zone=ZoneInfo(name),
        windows=tuple(draw(st.lists(some_windows(around), max_size=3))),
        freezes=tuple(draw(st.lists(some_freezes(begins), max_size=2))),
        hours=tuple(draw(st.lists(some_hours(around), max_size=2))),
    )
    wanted = Wanted(
        work=draw(st.sampled_from(Work)),
        is_emergency=draw(st.booleans()),
        ignores_windows=draw(st.booleans()),
        keeps_out_of_hours=draw(st.booleans()),
    )
    return stretch, times, wanted


class SlowClock:
    """What is open in each minute of a stretch, found by looking at every one of them."""

    def __init__(self, stretch: str) -> None:
        _, begins = STRETCHES[stretch]
        self.begins = begins
        self.machine = shown(stretch)
        first = begins.replace(tzinfo=None) - BEFORE * MINUTE
        self.utc = [first + n * MINUTE for n in range(len(self.machine))]

    def of(self, clock: Clock) -> Sequence[datetime]:
        return self.machine if clock is Clock.MACHINE else self.utc

    def window(self, window: Window) -> set[int]:
        """The minutes in which it is open: it opens in the first that shows its time, or more."""
        wall, found = self.of(window.clock), set[int]()
        for day in every_day(wall[0].date(), max(wall).date()):
            at = datetime.combine(day, window.at)
            is_meant = window.until is None or day <= window.until
            if is_meant and slow_is_on(window.days, day) and wall[0] <= at <= max(wall):
                opens = next(n for n, now in enumerate(wall) if now >= at)
                found.update(range(opens, opens + window.length // MINUTE))
        return found

    def between(self, wall: Sequence[datetime], begins: datetime, ends: datetime) -> set[int]:
        """From the first minute that shows the begin to the last that is before the end."""
        first = next((n for n, now in enumerate(wall) if now >= begins), len(wall))
        last = next((n for n in reversed(range(len(wall))) if wall[n] < ends), -1)
        return set(range(first, last + 1))

    def hours(self, hours: BusinessHours) -> set[int]:
        found = set[int]()
        for day in every_day(self.machine[0].date() - DAY, max(self.machine).date()):
            is_free = any(
                (day.month, day.day) == (one.day.month, one.day.day)
                and (one.yearly or one.day.year == day.year)
                for one in hours.holidays
            )
            if day.weekday() in hours.weekdays and not is_free:
                ends = datetime.combine(day, hours.ends)
                ends += DAY if hours.ends <= hours.begins else timedelta(0)
                found |= self.between(self.machine, datetime.combine(day, hours.begins), ends)
        return found

    def allows(self, times: Times, wanted: Wanted) -> list[bool]:
        """For each minute of the stretch, and some after it, whether the work may be done."""
        everything = set(range(len(self.machine)))
        if times.windows and not wanted.ignores_windows:
            good = set[int]()
            for window in times.windows:
                if wanted.work is Work.UPDATES or window.covers is Covers.EVERYTHING:
                    good |= self.window(window)
        else:
            good = everything
            if not times.windows and wanted.keeps_out_of_hours:
                for hours in times.hours:
                    good = good - self.hours(hours)
        if not wanted.is_emergency:
            for freeze in times.freezes:
                good = good - self.between(self.of(freeze.clock), freeze.begins, freeze.ends)
        return [n in good for n in range(BEFORE, BEFORE + STRETCH + LONGEST_NEED)]


@given(cases())
@settings(max_examples=80)
def test_work_is_allowed_in_the_minutes_that_a_clock_on_the_wall_allows(
    case: tuple[str, Times, Wanted],
) -> None:
    stretch, times, wanted = case
    clock = SlowClock(stretch)
    begins = clock.begins

    found = allowed(times, wanted, Span(begins, begins + STRETCH * MINUTE))

    told = [False] * STRETCH
    for span in found:
        first, last = (span.begins - begins) // MINUTE, (span.ends - begins) // MINUTE
        told[max(first, 0) : max(last, 0)] = [True] * (min(last, STRETCH) - max(first, 0))
    assert told == clock.allows(times, wanted)[:STRETCH]


@given(cases(), st.integers(0, STRETCH - 1), st.sampled_from([0, 20, 90, LONGEST_NEED]))
@settings(max_examples=80)
def test_a_verdict_says_what_the_minutes_after_it_show(
    case: tuple[str, Times, Wanted], minute: int, needs: int
) -> None:
    stretch, times, wanted = case
    clock = SlowClock(stretch)
    good = clock.allows(times, wanted)
    wanted = replace(wanted, needs=needs * MINUTE)

    verdict = may_change(times, wanted, clock.begins + minute * MINUTE)

    def closes(at: int) -> int:
        return next((n for n in range(at, len(good)) if not good[n]), len(good))

    fitting = (n for n in range(minute, STRETCH) if good[n] and closes(n) - n >= needs)
    begins = next(fitting, STRETCH)
    assert verdict.may is (begins == minute)
    expected = closes(minute) if verdict.may else begins
    told = verdict.until if verdict.may else verdict.next
    seen = len(good) if told is None else (told - clock.begins) // MINUTE
    assert seen == expected or (expected >= STRETCH and seen >= STRETCH)


@st.composite
def days_and_a_day(draw: st.DrawFn) -> tuple[Days, date]:
    around = draw(st.dates(date(2019, 1, 1), date(2033, 12, 31)))
    return draw(some_days(around)), around


@given(days_and_a_day())
@settings(max_examples=200)
def test_days_come_where_a_wall_calendar_has_them_and_none_is_left_out(
    case: tuple[Days, date],
) -> None:
    days, around = case
    last = around + 120 * DAY

    found = list(days_between(days, around, last))

    assert found == [day for day in every_day(around, last) if slow_is_on(days, day)]


minutes = st.integers(0, 30).map(lambda n: datetime(2026, 1, 1, 0, n, tzinfo=UTC))
spans = st.lists(st.builds(Span, minutes, minutes), max_size=6)


@given(spans, spans)
def test_unions_and_differences_are_those_of_the_minutes(
    some: list[Span], others: list[Span]
) -> None:
    found = without(united(some), united(others))

    assert of_minutes(found) == of_minutes(some) - of_minutes(others)
    assert all(first.ends < then.begins for first, then in pairwise(found))
    assert all(span.begins < span.ends for span in found)


def of_minutes(spans: Sequence[Span]) -> set[int]:
    return {n for span in spans for n in range(span.begins.minute, span.ends.minute)}


@given(cases(), st.integers(1, 6), st.sampled_from([0, 90]))
def test_what_is_upcoming_begins_with_what_a_verdict_says_and_has_room(
    case: tuple[str, Times, Wanted], most: int, needs: int
) -> None:
    stretch, times, wanted = case
    wanted = replace(wanted, needs=needs * MINUTE)
    now = STRETCHES[stretch][1] + DAY

    found = upcoming(times, wanted, now, most=most)

    verdict = may_change(times, wanted, now)
    begins = [max(span.begins, now) for span in found]
    assert begins == sorted(set(begins)) and len(begins) <= most
    assert all(span.ends - begin >= wanted.needs for span, begin in zip(found, begins, strict=True))
    assert begins[:1] == [now if verdict.may else verdict.next][: len(begins)]
    assert verdict.may or bool(begins) == (verdict.next is not None)
