"""Laws of alerts: none for a moment, none that flaps, and what is not known changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.alerts.rules import UNITS, Rule, Unit, Watched
from patchtide.domain.alerts.turns import Standing, Turn, advance
from patchtide.domain.errors import InvalidDocument

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    watched = draw(st.sampled_from(Watched))
    limit = draw(st.integers(1, 90))
    most = 100 - limit if watched is Watched.COMPLIANCE else limit - 1
    return Rule(
        name="x",
        watched=watched,
        limit=limit,
        unit=draw(st.sampled_from(UNITS[watched])),
        margin=draw(st.integers(0, most)),
        lasting=draw(st.integers(0, 6)) * MINUTE,
    )


VALUES = st.lists(st.none() | st.integers(0, 100), max_size=60)


def turns(rule: Rule, values: list[int | None]) -> list[tuple[int, Turn]]:
    """Measure once a minute; return at which of them it turned."""
    standing, found = Standing(), []
    for place, value in enumerate(values):
        standing, turn = advance(rule, standing, value, now=START + place * MINUTE)
        if turn is not None:
            found.append((place, turn))
    return found


@given(rules(), VALUES)
def test_an_alert_is_raised_and_ends_by_turns(rule: Rule, values: list[int | None]) -> None:
    found = [turn for _, turn in turns(rule, values)]

    assert all(one is not other for one, other in pairwise(found))
    assert not found or found[0] is Turn.RAISED


@given(rules(), VALUES)
def test_whatever_turns_was_so_at_every_measure_for_as_long_as_the_rule_says(
    rule: Rule, values: list[int | None]
) -> None:
    lasting = rule.lasting // MINUTE
    for place, turn in turns(rule, values):
        seen = values[place - lasting : place + 1]
        is_so = rule.is_bad if turn is Turn.RAISED else rule.is_good
        assert len(seen) == lasting + 1
        assert all(value is not None and is_so(value) for value in seen)


@given(rules(), VALUES)
def test_two_turns_are_as_far_apart_as_the_rule_says(rule: Rule, values: list[int | None]) -> None:
    places = [place for place, _ in turns(rule, values)]

    assert all(later - earlier > rule.lasting // MINUTE for earlier, later in pairwise(places))


@given(rules(), st.integers(0, 100))
def test_nothing_is_good_and_bad(rule: Rule, value: int) -> None:
    assert not (rule.is_good(value) and rule.is_bad(value))


@given(rules(), st.booleans())
def test_every_rule_can_be_raised_and_can_end(rule: Rule, is_raised: bool) -> None:
    worst, best = (0, 100) if rule.watched is Watched.COMPLIANCE else (100, 0)

    assert rule.is_bad(worst) and rule.is_good(best)


@given(rules(), st.booleans(), st.integers(1, 60))
def test_a_clock_that_was_put_back_measures_no_time(
    rule: Rule, is_raised: bool, minutes: int
) -> None:
    ahead = Standing(is_raised, START + minutes * MINUTE)
    below = rule.watched is Watched.COMPLIANCE
    value = (100 if below else 0) if is_raised else (0 if below else 100)
    standing, turn = advance(rule, ahead, value, now=START)

    assert (turn is None) == bool(rule.lasting)
    assert standing.turning_since == (START if rule.lasting else None)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": 99, "margin": 2}, "margin"),
        ({"unit": Unit.COUNT}, "unit"),
        ({"watched": Watched.SILENCE, "query": "openssl"}, "query"),
        ({"watched": Watched.SILENCE, "margin": 95}, "margin"),
    ],
)
def test_a_rule_that_could_never_be_raised_or_end_is_none(
    changes: dict[str, object], where: str
) -> None:
    sound = {"name": "x", "watched": Watched.COMPLIANCE, "limit": 95, "unit": Unit.PERCENT}
    with pytest.raises(InvalidDocument) as caught:
        Rule(**{**sound, **changes})  # type: ignore[arg-type]

    assert where in [problem.where for problem in caught.value.problems]
