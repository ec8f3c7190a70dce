"""S16: no hour in which more is disturbed than the limits say, whoever asks and however often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.access.limits import (
    HOUR,
    Deed,
    Disruption,
    Exceeded,
    Limits,
    SetLimits,
    exceeded,
    recent,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LIMITS = Limits(person=100, site=150)
ASKED = st.lists(
    st.tuples(st.integers(0, 4 * 3600), st.sampled_from("ab"), st.integers(1, 120)), max_size=40
)


@given(ASKED)
def test_in_no_hour_is_more_disturbed_than_the_limits_say(
    asked: list[tuple[int, str, int]],
) -> None:
    done: list[Disruption] = []
    for seconds, by, count in sorted(asked):
        wanted = Disruption(NOON + timedelta(seconds=seconds), by, count)
        if exceeded(done, wanted, LIMITS) is None:
            done = [*recent(done, wanted.at), wanted]
            within = [one for one in done if wanted.at - HOUR < one.at]
            assert sum(one.count for one in within) <= LIMITS.site
            assert sum(one.count for one in within if one.by == by) <= LIMITS.person


@given(ASKED)
def test_it_may_be_done_at_the_moment_that_is_said(asked: list[tuple[int, str, int]]) -> None:
    done = [Disruption(NOON + timedelta(seconds=s // 4), by, n) for s, by, n in asked]
    wanted = Disruption(NOON + HOUR, "a", 10)
    only_person = Limits(person=100, site=10**9)

    over = exceeded(done, wanted, only_person)

    if over is not None:
        later = Disruption(over.free_at, "a", 10)
        assert exceeded(done, later, only_person) is None


def test_the_hundred_and_first_within_an_hour_waits_for_the_first_to_be_an_hour_old() -> None:
    done = [Disruption(NOON + timedelta(minutes=n % 50), "a", 1) for n in range(100)]
    at = NOON + timedelta(minutes=55)

    assert exceeded(done, Disruption(at, "a", 1), LIMITS) == Exceeded(
        limit=100, spent=100, is_of_site=False, free_at=NOON + HOUR
    )
    assert exceeded(done, Disruption(at, "b", 1), LIMITS) is None
    assert exceeded(done, Disruption(at, "b", 51), LIMITS) == Exceeded(
        limit=150, spent=100, is_of_site=True, free_at=NOON + HOUR
    )
    assert exceeded(done, Disruption(NOON + HOUR, "a", 1), LIMITS) is None


def test_who_uses_up_what_the_site_has_keeps_nobody_from_defending_it() -> None:
    used = [Disruption(NOON, by, 100, deed) for by in "abc" for deed in Deed]

    assert exceeded(used, Disruption(NOON, "d", 1), LIMITS) is not None
    assert exceeded(used, Disruption(NOON, "d", 100, Deed.DEFEND), LIMITS) is None
    assert exceeded(used, Disruption(NOON, "d", 101, Deed.DEFEND), LIMITS) is not None


def test_describing_is_counted_by_itself_however_few_at_a_time() -> None:
    used = [Disruption(NOON, "a", 1, Deed.DESCRIBE) for _ in range(1000)]

    assert exceeded(used, Disruption(NOON, "a", 1, Deed.DESCRIBE), LIMITS) is not None
    assert exceeded(used, Disruption(NOON, "a", 100), LIMITS) is None


NUMBERS = st.tuples(*[st.integers(1, 20)] * 4)
SETTINGS = st.lists(st.tuples(st.integers(0, 90), NUMBERS), max_size=8)


@given(SETTINGS)
def test_no_limit_rises_at_once_by_one_person_and_each_is_as_it_was_set_an_hour_later(
    settings: list[tuple[int, tuple[int, int, int, int]]],
) -> None:
    known, now = SetLimits(), NOON
    for minutes, numbers in settings:
        now, wanted = now + timedelta(minutes=minutes), _limits(numbers)
        before, known = known.at(now), known.set_anew(wanted, now=now, at_once=False)

        assert known.at(now) == before.lower(wanted)
        assert known.at(now + HOUR) == wanted


def _limits(numbers: tuple[int, int, int, int]) -> Limits:
    person, site, described, described_site = numbers
    return Limits(person=person, site=site, described=described, described_site=described_site)


def test_what_others_agreed_to_holds_at_once_and_what_is_lower_too() -> None:
    more, less = Limits(person=500), Limits(person=5)

    assert SetLimits().set_anew(more, now=NOON, at_once=True).at(NOON) == more
    assert SetLimits().set_anew(less, now=NOON, at_once=False).at(NOON) == less
    waiting = SetLimits().set_anew(more, now=NOON, at_once=False)
    assert waiting.at(NOON) == Limits() and waiting.at(NOON + HOUR) == more
    assert waiting.set_anew(Limits(), now=NOON, at_once=False).at(NOON + HOUR) == Limits()
