"""Which windows open no more, wherever a machine may be."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from patchtide.domain.schedules.days import AfterCycle, Days, EveryDays, MonthlyOnDay, Once
from patchtide.domain.schedules.windows import Clock, Window

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TODAY = NOW.date()
FEBRUARY = date(2026, 2, 1)
MACHINE, UTC_CLOCK = Clock.MACHINE, Clock.UTC
OVER: dict[str, tuple[Days, date | None, Clock, bool]] = {
    "once, last year": (Once(date(2025, 3, 2)), None, MACHINE, True),
    "once, tonight": (Once(TODAY), None, UTC_CLOCK, False),
    "over by UTC": (Once(date(2026, 3, 1)), None, UTC_CLOCK, True),
    "over by UTC, and open in the far west": (Once(date(2026, 3, 1)), None, MACHINE, False),
    "far ahead": (Once(date(2199, 12, 31)), None, MACHINE, False),
    "every day": (EveryDays(since=FEBRUARY), None, MACHINE, False),
    "every day, until last week": (EveryDays(since=FEBRUARY), date(2026, 2, 20), MACHINE, True),
    "until before it begins": (EveryDays(since=date(2027, 1, 1)), date(2026, 12, 1), MACHINE, True),
    "until before the next of its days": (
        MonthlyOnDay(every=12, day=30, since=FEBRUARY), date(2027, 1, 31), MACHINE, True,
    ),
    "until the next of its days": (
        MonthlyOnDay(every=12, day=30, since=FEBRUARY), date(2027, 2, 28), MACHINE, False,
    ),
    "by a vendor's calendar": (
        AfterCycle(cycle="patch-tuesday", since=FEBRUARY), date(2026, 3, 9), MACHINE, True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("days", "until", "clock", "is_over"), OVER.values(), ids=OVER)
def test_a_window_is_over_where_it_opens_no_more(
    days: Days, until: date | None, clock: Clock, is_over: bool
) -> None:
    window = Window(days=days, at=time(22), length=timedelta(hours=4), clock=clock, until=until)

    assert window.is_over(NOW) is is_over
