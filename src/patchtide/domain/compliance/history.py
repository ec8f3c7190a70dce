"""The fleet day by day: when it is counted, what is counted, and which days are kept.

A day is one of UTC: every node means the same by it, and none is longer than the others. What
stands for a day is its last count. A day on which nobody counted has none, and nothing is ever put
in its place.

| the last count was | it is counted again |
| --- | --- |
| never | yes |
| on an earlier day | yes |
| today | after six hours; after a quarter of one if a decision moves counts; as the day ends |
| later than now, by at most a day | no: the clock was put back, and will get there |
| later than now, by more | yes: the clock was wrong then, or is now |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from patchtide.domain.compliance.scopes import Classes

EVERY = timedelta(hours=6)
AFTER_CHANGE = timedelta(minutes=15)
LAST_MINUTES = timedelta(minutes=10)
DAILY = 400
"""So many days are kept one by one; of earlier months, their last day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCount:
    """How many machines stand how on some updates together: a machine is in one of these."""

    compliant: int = 0
    required: int = 0
    """Some of the updates is required."""
    restart: int = 0
    """None is required, but what is installed takes effect only after a restart."""
    unknown: int = 0

    @property
    def machines(self) -> int:
        return self.compliant + self.required + self.restart + self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateCount:
    """How many machines stand how on one update. Whoever is in none of these does not need it."""

    required: int = 0
    installed: int = 0
    restart: int = 0
    """Of those that have it: how many wait for a restart."""
    behind: int = 0
    """Looked with a catalog that is too old for it, and are unknown for that."""
    unjudged: int = 0
    """Could not judge it."""


def day_of(at: datetime) -> date:
    return at.astimezone(UTC).date()


def is_due(last: datetime | None, *, now: datetime, is_changed: bool) -> bool:
    """Say whether the fleet is to be counted now. `is_changed`: something moved counts since."""
    if last is None or day_of(last) < day_of(now):
        return True
    if now < last:
        return last - now > timedelta(days=1)
    end = datetime.combine(day_of(now) + timedelta(days=1), time(), UTC)
    if last < end - LAST_MINUTES <= now:
        return True
    return now - last >= (AFTER_CHANGE if is_changed else EVERY)


def outlived(days: Sequence[date]) -> list[date]:
    """Return which of these days with counts, in order, are kept no longer.

    By how many there are and not by how old they are: a clock that is years ahead removes nothing.
    """
    ends = {(day.year, day.month): day for day in days}
    return [day for day in days[:-DAILY] if day != ends[day.year, day.month]]


def machines_on(classes: Classes) -> MachineCount:
    """Return how many machines stand how on a set of updates."""
    return MachineCount(
        compliant=len(classes.compliant),
        required=len(classes.required),
        restart=len(classes.restart),
        unknown=len(classes.unknown),
    )
