"""What security staff say of an update, the risk class that follows, and how soon it asks for all.

| of the update | counts |
| --- | --- |
| severity critical, important, moderate, low; not rated by its vendor | 3, 2, 1, 0; 1 |
| known to be exploited | one more, and high at least |
| mitigated otherwise | one less |
| reached from anywhere; with an account on the machine only | one more; one less |

| of the machine | counts |
| --- | --- |
| at the perimeter, or critical | one more |
| on the road | nothing |
| isolated | one less |

The sum, from 0 to 3, is low, medium, high or emergency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from patchtide.domain.catalog.details import Severity


class Reach(StrEnum):
    """From where what the update mends can be reached."""

    ANYWHERE = "anywhere"
    NETWORK = "network"
    """From the same network."""
    ACCOUNT = "account"
    """Only by whoever has an account on the machine already."""


class Exposure(StrEnum):
    """Where a machine stands."""

    PERIMETER = "perimeter"
    CRITICAL = "critical"
    ORDINARY = "ordinary"
    ON_THE_ROAD = "on-the-road"
    ISOLATED = "isolated"


class RiskClass(StrEnum):
    EMERGENCY = "emergency"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What the site's own security staff know of an update."""

    exploited: bool = False
    mitigated: bool = False
    reach: Reach = Reach.NETWORK
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """So many of the machines that need it are to have it in that time."""

    percent: int
    within: timedelta


UNRATED = Rating()
CLASSES = (RiskClass.LOW, RiskClass.MEDIUM, RiskClass.HIGH, RiskClass.EMERGENCY)
TARGETS: Mapping[RiskClass, Target] = MappingProxyType(
    {
        RiskClass.EMERGENCY: Target(percent=100, within=timedelta(days=2)),
        RiskClass.HIGH: Target(percent=99, within=timedelta(days=14)),
        RiskClass.MEDIUM: Target(percent=99, within=timedelta(days=30)),
        RiskClass.LOW: Target(percent=95, within=timedelta(days=90)),
    }
)
_SEVERITIES: Mapping[Severity, int] = MappingProxyType(
    {
        Severity.CRITICAL: 3,
        Severity.IMPORTANT: 2,
        Severity.MODERATE: 1,
        Severity.LOW: 0,
        Severity.NONE: 1,
    }
)
_REACHES: Mapping[Reach, int] = MappingProxyType(
    {Reach.ANYWHERE: 1, Reach.NETWORK: 0, Reach.ACCOUNT: -1}
)
_EXPOSURES: Mapping[Exposure, int] = MappingProxyType(
    {
        Exposure.PERIMETER: 1,
        Exposure.CRITICAL: 1,
        Exposure.ORDINARY: 0,
        Exposure.ON_THE_ROAD: 0,
        Exposure.ISOLATED: -1,
    }
)


def risk_class(
    severity: Severity, rating: Rating, exposure: Exposure = Exposure.ORDINARY
) -> RiskClass:
    """Return how urgent the update is on machines that stand so."""
    points = _SEVERITIES[severity] + _REACHES[rating.reach] + _EXPOSURES[exposure]
    points += rating.exploited - rating.mitigated
    if rating.exploited and not rating.mitigated:
        points = max(points, CLASSES.index(RiskClass.HIGH))
    return CLASSES[min(max(points, 0), len(CLASSES) - 1)]
