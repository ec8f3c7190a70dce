"""Whatever makes an update more dangerous never makes it less urgent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.catalog.details import Severity
from patchtide.domain.catalog.risk import (
    CLASSES,
    UNRATED,
    Exposure,
    Rating,
    Reach,
    RiskClass,
    risk_class,
)
from patchtide.domain.catalog.targets import DEFAULT_TARGETS, LONGEST_DAYS, Target

SEVERITIES = [Severity.LOW, Severity.MODERATE, Severity.IMPORTANT, Severity.CRITICAL]
REACHES = [Reach.ACCOUNT, Reach.NETWORK, Reach.ANYWHERE]
ratings = st.builds(Rating, exploited=st.booleans(), mitigated=st.booleans(),
                    reach=st.sampled_from(REACHES))  # fmt: skip
exposures = st.sampled_from(Exposure)
severities = st.sampled_from(SEVERITIES)


def urgency(severity: Severity, rating: Rating, exposure: Exposure = Exposure.ORDINARY) -> int:
    return CLASSES.index(risk_class(severity, rating, exposure))


@given(severities, severities, ratings, exposures)
def test_the_more_severe_is_not_less_urgent(
    one: Severity, other: Severity, rating: Rating, exposure: Exposure
) -> None:
    low, high = sorted((one, other), key=SEVERITIES.index)

    assert urgency(low, rating, exposure) <= urgency(high, rating, exposure)


@given(severities, ratings, exposures, st.sampled_from(REACHES))
def test_nor_is_what_is_exploited_not_mitigated_or_reached_from_further_away(
    severity: Severity, rating: Rating, exposure: Exposure, reach: Reach
) -> None:
    here = urgency(severity, rating, exposure)
    further = REACHES.index(reach) >= REACHES.index(rating.reach)

    assert urgency(severity, replace(rating, exploited=True), exposure) >= here
    assert urgency(severity, replace(rating, mitigated=True), exposure) <= here
    assert not further or urgency(severity, replace(rating, reach=reach), exposure) >= here


@given(severities, ratings)
def test_nor_is_it_on_a_machine_that_stands_more_exposed(
    severity: Severity, rating: Rating
) -> None:
    order = [Exposure.ISOLATED, Exposure.LAPTOP, Exposure.ORDINARY, Exposure.PERIMETER]
    found = [urgency(severity, rating, exposure) for exposure in order]

    assert found == sorted(found)
    assert urgency(severity, rating, Exposure.CRITICAL) == found[-1]


@given(severities, exposures)
def test_what_is_exploited_and_not_mitigated_is_high_at_least(
    severity: Severity, exposure: Exposure
) -> None:
    rating = Rating(exploited=True, reach=Reach.ACCOUNT)

    assert urgency(severity, rating, exposure) >= CLASSES.index(RiskClass.HIGH)


def test_the_more_urgent_asks_for_more_and_sooner() -> None:
    targets = [DEFAULT_TARGETS[one] for one in CLASSES]

    assert [t.percent for t in targets] == sorted(t.percent for t in targets)
    assert [t.within for t in targets] == sorted((t.within for t in targets), reverse=True)
    assert risk_class(Severity.CRITICAL, UNRATED) is RiskClass.EMERGENCY


@given(st.integers(1, 100), st.integers(0, 10**6))
def test_a_target_asks_for_the_fewest_whole_machines_that_are_its_share(
    percent: int, machines: int
) -> None:
    target = Target(percent=percent, within=timedelta(days=1))
    wanted = target.asks_for(machines)

    assert wanted * 100 >= machines * percent > (wanted - 1) * 100 or wanted == 0 == machines
    assert target.is_met(done=wanted, machines=machines)
    assert wanted == 0 or not target.is_met(done=wanted - 1, machines=machines)


@given(st.integers(), st.integers(-(10**5), 10**5))
def test_no_target_asks_for_none_more_than_all_or_at_no_time(percent: int, days: int) -> None:
    is_one = 1 <= percent <= 100 and 1 <= days <= LONGEST_DAYS
    try:
        Target(percent=percent, within=timedelta(days=days))
    except ValueError:
        assert not is_one
    else:
        assert is_one
