"""When a report is sent by itself, as a table of cases."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from patchtide.domain.schedules.recurrence import Every, Never, OnCycle, Schedule, Weekly
from patchtide.domain.schedules.sending import is_due, next_sending

MONDAYS = Weekly(days=frozenset({0}), at=time(7), zone=ZoneInfo("Europe/Berlin"))
DAILY = Every(timedelta(days=1))
TWO_AFTER = OnCycle(cycle="patch-tuesday", days_after=2, at=time(7), zone=ZoneInfo("UTC"))


def at(day: int, hour: int = 0, minute: int = 0, month: int = 3) -> datetime:
    """2026-03-02 is a Monday, 7:00 in Berlin is 6:00 UTC then, and 5:00 from 2026-03-29 on."""
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


CASES: dict[str, tuple[Schedule, datetime, datetime, bool]] = {
    "never by itself": (Never(), at(1), at(31), False),
    "a minute early": (MONDAYS, at(1), at(2, 5, 59), False),
    "on time": (MONDAYS, at(1), at(2, 6), True),
    "local time in summer": (MONDAYS, at(28), at(30, 5), True),
    "just sent": (MONDAYS, at(2, 6, 0), at(2, 6, 1), False),
    "just sent, after a restart a day later": (MONDAYS, at(2, 6), at(3, 6), False),
    "after an outage of three weeks": (MONDAYS, at(2, 6), at(24, 12), True),
    "sent after that outage, not again before the next time": (
        MONDAYS, at(24, 12), at(30, 4, 59), False,
    ),
    "added after the time of day has passed": (MONDAYS, at(2, 6, 1), at(2, 6, 2), False),
    "changed to a time that has just passed": (DAILY, at(2, 6), at(2, 23, 59), False),
    "so long after": (DAILY, at(2, 6), at(3, 6), True),
    "by a vendor's calendar, the day before": (TWO_AFTER, at(1), at(11, 23), False),
    "by a vendor's calendar": (TWO_AFTER, at(1), at(12, 7), True),
    "another node's clock is five minutes behind": (MONDAYS, at(2, 6, 1), at(2, 5, 56), False),
    "a clock that was put back by a year": (MONDAYS, at(2, 6, month=12), at(3), True),
}  # fmt: skip


@pytest.mark.parametrize(("schedule", "since", "now", "expected"), CASES.values(), ids=CASES)
def test_a_report_is_sent_when_it_is_due_and_once_for_all_it_missed(
    schedule: Schedule, since: datetime, now: datetime, expected: bool
) -> None:
    assert is_due(schedule, since=since, now=now) is expected


def test_what_comes_next_is_said_ahead() -> None:
    assert next_sending(MONDAYS, since=at(2, 6), now=at(3)) == at(9, 6)
    assert next_sending(Never(), since=at(2, 6), now=at(3)) is None
