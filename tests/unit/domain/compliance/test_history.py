"""When the fleet is counted, and how far an update has come."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.compliance.history import day_of, is_due, outlived
from patchtide.domain.compliance.reaching import SHARES, Reaching, advanced

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DUE: dict[str, tuple[datetime | None, bool, bool]] = {
    "never": (None, False, True),
    "a minute ago": (NOON - timedelta(minutes=1), False, False),
    "a minute ago, and something was decided": (NOON - timedelta(minutes=1), True, False),
    "a quarter of an hour ago": (NOON - timedelta(minutes=15), False, False),
    "a quarter ago, and something was decided": (NOON - timedelta(minutes=15), True, True),
    "six hours ago": (NOON - timedelta(hours=6), False, True),
    "before midnight": (NOON - timedelta(hours=12, seconds=1), False, True),
    "an hour ahead: put back": (NOON + timedelta(hours=1), True, False),
    "a day ahead: put back": (NOON + timedelta(days=1), True, False),
    "a year ahead: wrong": (NOON + timedelta(days=365), False, True),
}


@pytest.mark.parametrize(("last", "is_changed", "due"), DUE.values(), ids=DUE)
def test_when_it_is_counted_again(last: datetime | None, is_changed: bool, due: bool) -> None:
    assert is_due(last, now=NOON, is_changed=is_changed) is due


def test_the_last_minutes_of_a_day_are_counted_once() -> None:
    end = datetime(2026, 3, 2, 23, 50, tzinfo=UTC)

    assert is_due(end - timedelta(minutes=1), now=end, is_changed=False)
    assert not is_due(end, now=end + timedelta(minutes=9), is_changed=False)


def test_a_day_is_one_of_utc_wherever_the_clock_stands_and_whenever_it_is_changed() -> None:
    east, west = (timezone(timedelta(hours=h)) for h in (13, -11))
    at = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # the night in which Berlin's clocks change

    assert {day_of(at.astimezone(zone)) for zone in (east, west, UTC)} == {date(2026, 3, 29)}


days = st.lists(st.integers(0, 3000), unique=True, max_size=900).map(
    lambda numbers: [date(2020, 1, 1) + timedelta(days=n) for n in sorted(numbers)]
)


@given(days)
def test_of_every_month_with_counts_its_last_day_stays_and_so_do_the_newest(
    recorded: list[date],
) -> None:
    gone = set(outlived(recorded))
    kept = [day for day in recorded if day not in gone]

    assert kept[-400:] == recorded[-400:]
    assert {d.replace(day=1): d for d in kept} == {d.replace(day=1): d for d in recorded}
    assert outlived(kept) == []


counts = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 5)), max_size=30)


@given(counts)
def test_shares_are_reached_in_order_and_stay_reached(told: list[tuple[int, int, int]]) -> None:
    known: Reaching | None = None
    day, had = date(2026, 1, 1), 0
    for required, has, pause in told:
        before = known
        known = advanced(known, day=day, required=required, has=has, had=had)
        had, day = has, day + timedelta(days=pause)
        if known is None:
            assert before is None and required == 0
            continue
        took = [known.days_to(share) for share in SHARES]
        assert all(a is None or a == b for a, b in zip(_reached(before), took, strict=True))
        there = [days for days in took if days is not None]
        assert took[: len(there)] == there == sorted(there)


def _reached(known: Reaching | None) -> list[int | None]:
    return [known.days_to(share) for share in SHARES] if known else [None] * len(SHARES)


def test_those_that_had_it_before_do_not_make_an_update_look_quick() -> None:
    first, then = date(2026, 1, 1), date(2026, 1, 9)
    known = advanced(None, day=first, required=10, has=990, had=990)
    later = advanced(known, day=then, required=1, has=999, had=990)

    assert known is not None and known.reached == (None,) * 4
    assert later is not None
    assert [later.days_to(share) for share in SHARES] == [8, 8, None, None]


def test_an_update_that_nobody_needs_any_more_was_not_thereby_installed() -> None:
    known = advanced(None, day=date(2026, 1, 1), required=5, has=0, had=0)

    assert advanced(known, day=date(2026, 1, 2), required=0, has=0, had=0) == known
