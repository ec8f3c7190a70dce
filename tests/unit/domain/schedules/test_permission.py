"""When a machine may be changed, by the dates of a calendar on the wall."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from patchtide.domain.schedules.days import (
    LAST,
    AfterCycle,
    EveryDays,
    EveryWeeks,
    MonthlyOnDay,
    MonthlyOnWeekday,
    Once,
)
from patchtide.domain.schedules.permission import Times, Wanted, may_change, upcoming
from patchtide.domain.schedules.spans import Span
from patchtide.domain.schedules.windows import (
    DEFAULT_HOURS,
    BusinessHours,
    Clock,
    Covers,
    Freeze,
    Holiday,
    Window,
    Work,
    hours_of,
)
from patchtide.domain.schedules.wording import verdict_in_words, window_in_words

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)
SINCE = date(2026, 1, 1)
PATCH_NIGHT = Window(
    name="patch night",
    days=AfterCycle(cycle="patch-tuesday", days_after=3, since=SINCE),
    at=time(22),
    length=4 * HOUR,
)
CHRISTMAS = Freeze(
    begins=datetime.fromisoformat("2026-12-11 23:00"),
    ends=datetime.fromisoformat("2027-01-04 06:00"),
    reason="year's end",
)
AT_NIGHT = Window(days=EveryDays(since=SINCE), at=time(2, 30), length=2 * HOUR)
UPDATES = Wanted()
OTHER = Wanted(work=Work.OTHER)
ROLLOUT = Wanted(keeps_out_of_hours=True)
DURING_HOURS = Times(zone=BERLIN, hours=(DEFAULT_HOURS,))


def a_time(**changes: object) -> Times:
    return replace(Times(zone=BERLIN, windows=(PATCH_NIGHT,)), **changes)  # type: ignore[arg-type]


def at(text: str) -> datetime:
    """What the clocks of Berlin show, as an instant."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


BUILD = Span(at("2026-12-08 12:00"), at("2026-12-11 23:00"))
NEW = {"build": BUILD}
ADVENT = replace(CHRISTMAS, begins=datetime.fromisoformat("2026-12-09 00:00"))
ANSWERS = {
    "in build, whatever its windows": (
        a_time(**NEW), OTHER, "2026-12-09 12:00",
        "Yes, until Sat 2026-12-12 02:00: it is in build, and no maintenance window binds it yet",
    ),
    "in build, where nobody knows by which windows it goes": (
        a_time(windows=(), is_unsure=True, **NEW), UPDATES, "2026-12-09 12:00",
        "Yes, until Fri 2026-12-11 23:00: it is in build, and no maintenance window binds it yet",
    ),
    "in build, and people work there": (
        replace(DURING_HOURS, build=BUILD), ROLLOUT, "2026-12-09 12:00",
        "Yes, until Mon 2026-12-14 08:00: it is in build, and no maintenance window binds it yet",
    ),
    "in build, and frozen": (
        a_time(freezes=(ADVENT,), **NEW), UPDATES, "2026-12-09 12:00",
        "Not before Fri 2027-01-15 22:00: it is frozen until Mon 2027-01-04 06:00 (year's end)",
    ),
    "in build until a freeze": (
        a_time(freezes=(CHRISTMAS,), build=Span(at("2026-12-08 12:00"), at("2026-12-20 12:00"))),
        UPDATES, "2026-12-09 12:00",
        "Yes, until Fri 2026-12-11 23:00: it is in build, and no maintenance window binds it yet",
    ),
    "handed over": (
        a_time(windows=(AT_NIGHT,), **NEW), UPDATES, "2026-12-12 12:00",
        "Not before Sun 2026-12-13 02:30: no maintenance window is open",
    ),
    "three days after Patch Tuesday, in the night": (
        a_time(), UPDATES, "2026-12-11 23:00",
        "Yes, until Sat 2026-12-12 02:00: a maintenance window is open",
    ),
    "on Patch Tuesday itself": (
        a_time(), UPDATES, "2026-12-08 23:00",
        "Not before Fri 2026-12-11 22:00: no maintenance window is open",
    ),
    "when what is to be done takes longer than is left": (
        a_time(), replace(UPDATES, needs=3 * HOUR), "2026-12-11 23:30",
        "Not before Fri 2027-01-15 22:00: what is left of the time is too short",
    ),
    "when it takes longer than any window": (
        a_time(), replace(UPDATES, needs=5 * HOUR), "2026-12-11 22:00",
        "No, nor later: no time that comes is long enough",
    ),
    "while it is frozen": (
        a_time(freezes=(CHRISTMAS,)), UPDATES, "2026-12-24 12:00",
        "Not before Fri 2027-01-15 22:00: it is frozen until Mon 2027-01-04 06:00 (year's end)",
    ),
    "when a freeze cuts a window short": (
        a_time(freezes=(CHRISTMAS,)), replace(UPDATES, needs=2 * HOUR), "2026-12-11 22:00",
        (
            "Not before Fri 2027-01-15 22:00: what is left of the time is too short, "
            "for it is frozen from Fri 2026-12-11 23:00 on (year's end)"
        ),
    ),
    "an emergency passes a freeze and no window": (
        a_time(freezes=(CHRISTMAS,)), replace(UPDATES, is_emergency=True), "2026-12-11 23:30",
        "Yes, until Sat 2026-12-12 02:00: a maintenance window is open",
    ),
    "what ignores windows minds a freeze": (
        a_time(freezes=(CHRISTMAS,)), replace(UPDATES, ignores_windows=True), "2026-12-10 12:00",
        "Yes, until Fri 2026-12-11 23:00: this ignores maintenance windows",
    ),
    "a window for updates is for nothing else": (
        a_time(windows=(replace(PATCH_NIGHT, covers=Covers.UPDATES),)), OTHER, "2026-12-11 23:00",
        "No, nor later: its maintenance windows are for updates only",
    ),
    "a window that came once": (
        a_time(windows=(replace(PATCH_NIGHT, days=Once(date(2026, 12, 1))),)), UPDATES,
        "2026-12-11 23:00", "No, nor later: none of its maintenance windows opens again",
    ),
    "a window that comes once, years ahead": (
        a_time(windows=(replace(PATCH_NIGHT, days=Once(date(2030, 7, 1))),)), UPDATES,
        "2026-12-11 23:00", "Not before Mon 2030-07-01 22:00: no maintenance window is open",
    ),
    "no window at all": (
        a_time(windows=()), UPDATES, "2026-12-11 12:00",
        "Yes: no maintenance window binds this machine",
    ),
    "no window, in business hours": (
        DURING_HOURS, ROLLOUT, "2026-12-11 12:00",
        "Not before Fri 2026-12-11 18:00: people work at this machine now",
    ),
    "no window, in business hours, by hand": (
        DURING_HOURS, UPDATES, "2026-12-11 12:00", "Yes: no maintenance window binds this machine",
    ),
    "no window, before a weekend and a holiday": (
        replace(
            DURING_HOURS,
            hours=(BusinessHours(holidays=(Holiday(day=date(1999, 12, 14), yearly=True),)),),
        ),
        ROLLOUT, "2026-12-11 18:00",
        "Yes, until Tue 2026-12-15 08:00: no maintenance window binds this machine",
    ),
    "a window in business hours is a window": (
        replace(DURING_HOURS, windows=(replace(PATCH_NIGHT, at=time(10)),)), ROLLOUT,
        "2026-12-11 12:00", "Yes, until Fri 2026-12-11 14:00: a maintenance window is open",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("times", "wanted", "now", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_says_until_when_or_when_next_and_why(
    times: Times, wanted: Wanted, now: str, expected: str
) -> None:
    verdict = may_change(times, wanted, at(now))

    assert verdict_in_words(verdict, BERLIN) == expected


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        # 02:30 is left out: it opens at 03:00, which is 01:00 UTC.
        (date(2026, 3, 29), ("2026-03-29T01:00", "2026-03-29T03:00")),
        # 02:30 comes twice: it opens at the first, and closes before the clocks show 04:30.
        (date(2026, 10, 25), ("2026-10-25T00:30", "2026-10-25T02:30")),
    ],
)
def test_a_window_opens_once_on_a_day_on_which_clocks_are_changed(
    day: date, expected: tuple[str, str]
) -> None:
    now = datetime.combine(day, time(), BERLIN).astimezone(UTC)

    first, then = upcoming(a_time(windows=(AT_NIGHT,)), UPDATES, now, most=2)

    assert (f"{first.begins:%FT%H:%M}", f"{first.ends:%FT%H:%M}") == expected
    assert then.begins - first.ends > 20 * HOUR


WORDS = {
    "once, on Fri 2026-12-11 at 22:00 machine's time, for 4 h": Once(date(2026, 12, 11)),
    "every 3 days at 22:00 machine's time, for 4 h": EveryDays(every=3, since=SINCE),
    "Monday, Tuesday and Sunday of every 2 weeks at 22:00 machine's time, for 4 h": EveryWeeks(
        every=2, weekdays=frozenset({0, 1, 6}), since=SINCE
    ),
    "day 31 of every month at 22:00 machine's time, for 4 h": MonthlyOnDay(day=31, since=SINCE),
    "the last Saturday of every 3 months at 22:00 machine's time, for 4 h": MonthlyOnWeekday(
        every=3, nth=LAST, weekday=5, since=SINCE
    ),
    "3 days after Patch Tuesday at 22:00 machine's time, for 4 h": PATCH_NIGHT.days,
}


@pytest.mark.parametrize("expected", WORDS)
def test_a_window_is_said_in_words(expected: str) -> None:
    window = replace(PATCH_NIGHT, days=WORDS[expected])

    assert window_in_words(window) == expected
    more = replace(
        window,
        clock=Clock.UTC,
        covers=Covers.UPDATES,
        length=90 * HOUR / 60,
        until=date(2027, 1, 1),
    )
    assert window_in_words(more).endswith(
        "at 22:00 UTC, for 1 h 30 min, until Fri 2027-01-01, updates only"
    )


def test_business_hours_of_collections_beat_a_locations_and_those_the_sites() -> None:
    night, late = BusinessHours(begins=time(22), ends=time(6)), BusinessHours(ends=time(20))

    assert hours_of([night, late], DEFAULT_HOURS, DEFAULT_HOURS) == (night, late)
    assert hours_of([], late, DEFAULT_HOURS) == (late,)
    assert hours_of([], None, DEFAULT_HOURS) == (DEFAULT_HOURS,)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: EveryDays(every=0, since=SINCE),
        lambda: EveryWeeks(weekdays=frozenset(), since=SINCE),
        lambda: MonthlyOnDay(day=32, since=SINCE),
        lambda: MonthlyOnDay(every=13, day=1, since=SINCE),
        lambda: MonthlyOnWeekday(nth=5, weekday=0, since=SINCE),
        lambda: AfterCycle(cycle="easter", since=SINCE),
        lambda: AfterCycle(cycle="patch-tuesday", days_after=29, since=SINCE),
        lambda: Once(date(2200, 1, 1)),
        lambda: replace(PATCH_NIGHT, length=timedelta(days=8)),
        lambda: replace(CHRISTMAS, ends=CHRISTMAS.begins),
        lambda: replace(CHRISTMAS, ends=at("2027-01-04 06:00")),
        lambda: BusinessHours(weekdays=frozenset({7})),
    ],
)
def test_what_cannot_be_meant_is_no_window(wrong: object) -> None:
    with pytest.raises(ValueError, match=" "):
        wrong()  # type: ignore[operator]
