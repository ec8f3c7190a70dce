"""Vendors' days, recurrences in local time, and when a synchronisation falls due."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, given
from hypothesis import strategies as st

from patchtide.domain.schedules.calendar import ALL_MONTHS, CYCLES, PATCH_TUESDAY, Cycle
from patchtide.domain.schedules.recurrence import (
    Every,
    Never,
    OnCycle,
    Schedule,
    Weekly,
    next_after,
)
from patchtide.domain.schedules.synchronising import (
    AFTER_A_FAILURE,
    Due,
    Ended,
    Past,
    Why,
    due,
    upcoming,
)

HOUR = timedelta(hours=1)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/Los_Angeles", "Australia/Lord_Howe"])
days = st.dates(date(2020, 1, 1), date(2035, 12, 31))
START, END = datetime(2020, 1, 1), datetime(2035, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone
moments = st.datetimes(START, END, timezones=st.just(UTC))
cycles = st.builds(
    Cycle,
    nth=st.integers(1, 4),
    weekday=st.integers(0, 6),
    months=st.frozensets(st.sampled_from(sorted(ALL_MONTHS)), min_size=1),
    shift=st.integers(-14, 14),
)
weekly = st.builds(
    Weekly,
    days=st.frozensets(st.integers(0, 6), min_size=1),
    at=st.times(),
    zone=zones.map(ZoneInfo),
)
on_cycle = st.builds(
    OnCycle,
    cycle=st.sampled_from(sorted(CYCLES)),
    days_after=st.integers(-28, 28),
    for_days=st.integers(1, 28),
    at=st.times(),
    zone=zones.map(ZoneInfo),
)
every = st.builds(Every, st.timedeltas(HOUR, timedelta(days=40)))
schedules: st.SearchStrategy[Schedule] = st.one_of(st.builds(Never), every, weekly, on_cycle)


@given(cycles, days)
def test_a_cycles_days_are_its_weekdays_and_none_is_left_out(cycle: Cycle, day: date) -> None:
    last, after = cycle.last(day), cycle.next(day)
    between = [last + timedelta(days=n) for n in range((after - last).days)]
    unmoved = [one - timedelta(days=cycle.shift) for one in between]
    meant = [
        one.weekday() == cycle.weekday
        and one.month in cycle.months
        and (one.day - 1) // 7 + 1 == cycle.nth
        for one in unmoved
    ]

    assert last <= day < after
    assert meant == [True, *[False] * (len(meant) - 1)]


@given(days)
def test_patch_tuesday_is_what_a_wall_calendar_shows(day: date) -> None:
    weeks = calendar.Calendar().monthdayscalendar(day.year, day.month)
    tuesdays = [week[1] for week in weeks if week[1]]

    found = PATCH_TUESDAY.next(day.replace(day=1) - timedelta(days=1))

    assert found == day.replace(day=tuesdays[1])
    assert CYCLES["advance-notice"].last(found) == found - timedelta(days=5)


@given(st.one_of(weekly, on_cycle), moments)
def test_a_recurrence_comes_on_its_days_at_its_time_and_skips_none(
    schedule: Weekly | OnCycle, moment: datetime
) -> None:
    found = next_after(schedule, moment)

    assert found is not None and found > moment
    local = found.astimezone(schedule.zone)
    assume(local.replace(tzinfo=None) == datetime.combine(local.date(), schedule.at))
    assert schedule.is_on(local.date())
    first = moment.astimezone(schedule.zone).date() + timedelta(days=1)
    between = ((first + timedelta(days=n)) for n in range((local.date() - first).days))
    assert not any(schedule.is_on(day) for day in between)


def a_past(began: datetime, state: Ended, *, full: bool = True) -> Past:
    ended = None if state is Ended.RUNNING else began + timedelta(minutes=1)
    return Past(began_at=began, ended_at=ended, state=state, full=full)


@given(schedules, moments, st.booleans())
def test_none_falls_due_beside_a_running_one(schedule: Schedule, now: datetime, full: bool) -> None:
    history = [a_past(now - timedelta(days=90), Ended.RUNNING, full=full)]

    assert due(schedule, history, now) is None


@given(schedules, moments, st.booleans(), st.timedeltas(timedelta(0), timedelta(hours=2)))
def test_a_failed_one_comes_again_after_an_hour_whatever_the_schedule(
    schedule: Schedule, began: datetime, full: bool, later: timedelta
) -> None:
    failed = a_past(began, Ended.FAILED, full=full)
    assert failed.ended_at is not None

    found = due(schedule, [failed], failed.ended_at + later)

    assert (found is not None) is (later >= AFTER_A_FAILURE)
    assert found is None or (found.why is Why.RETRY and found.full >= full)


@given(schedules, moments)
def test_every_time_of_the_schedule_is_answered_once_by_a_full_one(
    schedule: Schedule, start: datetime
) -> None:
    """As a server does it that is asked every ten minutes, with a run on demand now and then."""
    history = [a_past(start, Ended.DONE)]
    expected = next_after(schedule, start)
    for step in range(300):
        now = start + timedelta(minutes=10 * (step + 1))
        found = due(schedule, history, now)
        assert (found is not None) is (expected is not None and expected <= now)
        if found is not None:
            assert found == Due(at=expected or now, full=True, why=Why.SCHEDULE)
            history.append(a_past(now, Ended.DONE))
            expected = next_after(schedule, now)
        elif step % 7 == 0:
            history.append(a_past(now, Ended.DONE, full=False))


@given(st.one_of(every, weekly, on_cycle), moments)
def test_a_clock_that_was_set_back_puts_nothing_off(schedule: Schedule, now: datetime) -> None:
    history = [a_past(now + timedelta(days=30), Ended.DONE)]

    found = upcoming(schedule, history, now)

    assert found is not None and found.at == now
