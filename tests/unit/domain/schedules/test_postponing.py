"""Until when something may be put off: never past its deadline, and never past the limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.schedules.postponing import (
    LONGEST_S,
    MOST_TIMES,
    PostponeLimit,
    bounded_limit,
)

DAY_S, DUE = 86_400, 1.8e9
said = st.none() | st.integers(0, 2**32 - 1)
times = st.integers(0, MOST_TIMES)
seconds = st.integers(0, LONGEST_S)
instants = st.floats(DUE - LONGEST_S, DUE + 2 * LONGEST_S)


@given(times, seconds, instants, times)
def test_nothing_is_put_off_past_its_deadline_nor_past_the_limit(
    most: int, within_s: int, deadline: float, postponed: int
) -> None:
    until = PostponeLimit(times=most, within_s=within_s).until(
        due=DUE, deadline=deadline, postponed=postponed
    )

    assert until <= deadline and until <= DUE + within_s
    assert until <= DUE or postponed < most
    assert until >= min(DUE, deadline)


@given(times, seconds, instants, st.lists(st.floats(0, 1), max_size=10))
def test_however_it_is_put_off_it_comes_in_time(
    most: int, within_s: int, deadline: float, choices: list[float]
) -> None:
    limit = PostponeLimit(times=most, within_s=within_s)
    comes, postponed = DUE, 0
    for choice in choices:
        until = limit.until(due=DUE, deadline=deadline, postponed=postponed)
        if until <= comes:
            break
        comes, postponed = min(until, comes + choice * (until - comes)), postponed + 1

    assert postponed <= most
    assert comes <= max(DUE, deadline) and comes <= DUE + within_s


@given(said, said)
def test_no_server_can_have_things_put_off_for_ever(most: int | None, within_s: int | None) -> None:
    limit = bounded_limit(most, within_s)

    assert 0 <= limit.times <= MOST_TIMES and 0 <= limit.within_s <= LONGEST_S
    assert (limit.times == 0) == (most == 0) and (limit.within_s == 0) == (within_s == 0)


def test_what_is_due_may_be_put_off_three_times_within_a_day_where_nothing_is_said() -> None:
    limit = bounded_limit(None, None)
    later = DUE + 7 * DAY_S

    assert limit.until(due=DUE, deadline=later) == DUE + DAY_S
    assert limit.until(due=DUE, deadline=DUE + 60, postponed=2) == DUE + 60
    assert limit.until(due=DUE, deadline=later, postponed=3) == DUE
