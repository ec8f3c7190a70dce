"""A month as a calendar shows it."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from patchtide.domain.schedules.days import EveryDays, Once
from patchtide.domain.schedules.month import marked, weeks_of
from patchtide.domain.schedules.permission import Times
from patchtide.domain.schedules.windows import BusinessHours, Freeze, Holiday, Window

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("month", "first", "count"),
    [
        (date(2026, 12, 9), date(2026, 11, 30), 35),
        (date(2027, 2, 1), date(2027, 2, 1), 28),
        (date(2026, 8, 1), date(2026, 7, 27), 42),
    ],
    ids=["it begins on a Tuesday", "four whole weeks", "six of them"],
)
def test_a_month_is_shown_in_whole_weeks(month: date, first: date, count: int) -> None:
    days = weeks_of(month)

    assert (days[0], len(days)) == (first, count)
    assert {day.weekday() for day in days[::7]} == {0}


def a_window(day: date, at: str, hours: int, name: str = "night") -> Window:
    opens = time.fromisoformat(at)
    return Window(name=name, days=Once(day), at=opens, length=timedelta(hours=hours))


WINDOWS = {
    "within a day": (a_window(date(2026, 12, 8), "01:00", 2), {8: "01:00–03:00"}),
    "to its very end": (a_window(date(2026, 12, 8), "22:00", 2), {8: "22:00–24:00"}),
    "over midnight": (
        a_window(date(2026, 12, 8), "22:00", 4), {8: "22:00–02:00", 9: "until 02:00"}
    ),
    "over days": (
        a_window(date(2026, 12, 8), "12:00", 48), {8: "from 12:00", 9: "", 10: "until 12:00"}
    ),
    "from the month before": (a_window(date(2026, 11, 29), "23:00", 3), {30: "until 02:00"}),
}  # fmt: skip


@pytest.mark.parametrize(("window", "expected"), WINDOWS.values(), ids=WINDOWS)
def test_an_opening_stands_on_each_of_its_days(window: Window, expected: dict[int, str]) -> None:
    found = marked(Times(zone=BERLIN, windows=(window,)), weeks_of(date(2026, 12, 1)))

    assert {day.day: one.when for day, marks in found.items() for one in marks} == expected


def test_a_freeze_cuts_what_it_covers_and_a_holiday_comes_first() -> None:
    nightly = Window(
        name="nightly", days=EveryDays(every=1, since=date(2026, 12, 1)), at=time(2),
        length=timedelta(hours=2),
    )  # fmt: skip
    begins, ends = map(datetime.fromisoformat, ("2026-12-24T12:00", "2026-12-27T03:00"))
    freeze = Freeze(begins=begins, ends=ends, reason="year's end")
    hours = BusinessHours(holidays=(Holiday(day=date(2000, 12, 25), name="Xmas", yearly=True),))
    times = Times(zone=BERLIN, windows=(nightly,), freezes=(freeze,), hours=(hours, hours))

    found = marked(times, weeks_of(date(2026, 12, 1)))

    assert [(one.kind, one.title, one.when) for one in found[date(2026, 12, 25)]] == [
        ("holiday", "Xmas", ""),
        ("freeze", "year's end", ""),
    ]
    assert [one.when for one in found[date(2026, 12, 24)]] == ["from 12:00", "02:00–04:00"]
    assert [one.when for one in found[date(2026, 12, 27)]] == ["until 03:00", "03:00–04:00"]
