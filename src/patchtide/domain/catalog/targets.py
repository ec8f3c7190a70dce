"""How soon how many of the machines that need an update are to have it, by its risk class there.

A site sets its own; these are what it begins with. An important update on an ordinary machine is of
high risk and at the perimeter an emergency: so without a word of anybody the perimeter has all of
its machines done within two days, and the rest 99 of a hundred within fourteen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from patchtide.domain.catalog.risk import RiskClass

LONGEST_DAYS = 3650


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """So many of the machines that need it are to have it in that time."""

    percent: int
    within: timedelta

    def __post_init__(self) -> None:
        if not 1 <= self.percent <= 100:
            raise ValueError(f"percent must be 1 to 100, not {self.percent}")
        if not timedelta(days=1) <= self.within <= timedelta(days=LONGEST_DAYS):
            raise ValueError(f"within must be 1 to {LONGEST_DAYS} days, not {self.within}")

    def due_at(self, since: datetime) -> datetime:
        """Return when it has to be met by, counted from when the update was there to be had."""
        return since + self.within

    def asks_for(self, machines: int) -> int:
        """Return how many of so many machines have to have it: whole machines, rounded up."""
        return -(-machines * self.percent // 100)

    def is_met(self, *, done: int, machines: int) -> bool:
        """Say whether enough have it; where nobody needs it, nothing is missing."""
        return done >= self.asks_for(machines)


Targets = Mapping[RiskClass, Target]
DEFAULT_TARGETS: Targets = MappingProxyType(
    {
        RiskClass.EMERGENCY: Target(percent=100, within=timedelta(days=2)),
        RiskClass.HIGH: Target(percent=99, within=timedelta(days=14)),
        RiskClass.MEDIUM: Target(percent=99, within=timedelta(days=30)),
        RiskClass.LOW: Target(percent=95, within=timedelta(days=90)),
    }
)
