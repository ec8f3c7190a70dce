"""A forecast is after today, later for a higher goal, and never of more than all machines."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.compliance.forecast import Forecast, Lacking, Outlook, forecast

TODAY = date(2026, 3, 2)


@st.composite
def series(draw: st.DrawFn) -> list[Lacking]:
    """Counts on some days up to today, of which none lacks more than there are."""
    whole = draw(st.integers(1, 100_000))
    ago = sorted(draw(st.sets(st.integers(1, 30), max_size=12)), reverse=True)
    lacking = st.integers(0, whole)
    return [
        Lacking(day=TODAY - timedelta(days=n), machines=draw(lacking), of=whole) for n in (*ago, 0)
    ]


def told(counts: list[Lacking], percent: int = 99) -> Forecast:
    return forecast(counts, percent=percent, today=TODAY)


@given(series(), st.integers(1, 100))
def test_it_is_after_today_and_its_ends_are_in_order(counts: list[Lacking], percent: int) -> None:
    found = told(counts, percent)

    is_expected = found.outlook is Outlook.EXPECTED
    assert (found.earliest is not None) is is_expected
    assert found.earliest is None or TODAY < found.earliest <= TODAY + timedelta(days=366)
    assert found.latest is None or (found.earliest or TODAY) <= found.latest
    done = counts[-1].of - counts[-1].machines
    assert (found.outlook is Outlook.REACHED) is (done >= -(-counts[-1].of * percent // 100))


@given(series(), st.integers(1, 100), st.integers(1, 100))
def test_a_higher_goal_is_never_reached_sooner(counts: list[Lacking], a: int, b: int) -> None:
    lower, higher = told(counts, min(a, b)), told(counts, max(a, b))

    if higher.outlook is Outlook.REACHED:
        assert lower.outlook is Outlook.REACHED
    if lower.earliest and higher.earliest:
        assert lower.earliest <= higher.earliest
    if lower.latest and higher.latest:
        assert lower.latest <= higher.latest


@given(series(), st.integers(1, 5000))
def test_whoever_was_further_behind_before_went_faster(counts: list[Lacking], more: int) -> None:
    was = [Lacking(day=one.day, machines=one.machines + more, of=one.of) for one in counts[:-1]]
    slow, quick = told(counts), told([*was, counts[-1]])

    if slow.earliest and len(was) > 2:
        assert quick.earliest and quick.earliest <= slow.earliest


@given(series(), st.integers(0, 100_000))
def test_one_odd_day_does_not_make_a_forecast_that_was_none(
    counts: list[Lacking], odd: int
) -> None:
    still = [Lacking(day=TODAY - timedelta(days=n), machines=50, of=100) for n in range(7, -1, -1)]
    still[3] = Lacking(day=still[3].day, machines=odd % 101, of=100)

    assert told(still).outlook is Outlook.NOT_AT_THIS_RATE
    assert told(counts[-1:]).outlook in (Outlook.REACHED, Outlook.TOO_LITTLE_KNOWN)


def test_ten_machines_a_day_of_a_hundred_take_ten_days_or_somewhat_more() -> None:
    counts = [
        Lacking(day=TODAY - timedelta(days=n), machines=100 + 10 * n, of=1000)
        for n in range(7, -1, -1)
    ]

    found = told(counts, 99)

    assert (found.earliest, found.a_day) == (TODAY + timedelta(days=9), 10)
    assert found.latest is not None
    assert timedelta(days=30) < found.latest - TODAY < timedelta(days=45)
