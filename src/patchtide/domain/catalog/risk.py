"""What security staff say of an update, and the risk class that follows where a machine stands.

| of the update | counts |
| --- | --- |
| severity critical, important, moderate, low; not rated by its vendor | 3, 2, 1, 0; 1 |
| known to be exploited | one more, and high at least |
| mitigated otherwise | one less |
| reached from anywhere; with an account on the machine only | one more; one less |

| of the machine | counts |
| --- | --- |
| at the perimeter, or critical | one more |
| a server, a laptop, or any other | nothing |
| isolated | one less |

The sum, from 0 to 3, is low, medium, high or emergency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    SERVER = "server"
    ORDINARY = "ordinary"
    """Nobody has said anything else."""
    LAPTOP = "laptop"
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


UNRATED = Rating()
CLASSES = (RiskClass.LOW, RiskClass.MEDIUM, RiskClass.HIGH, RiskClass.EMERGENCY)
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
        Exposure.SERVER: 0,
        Exposure.ORDINARY: 0,
        Exposure.LAPTOP: 0,
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
