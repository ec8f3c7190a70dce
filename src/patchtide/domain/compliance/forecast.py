"""When enough machines will have an update, if it goes on as in the last days.

From the counts of the last seven days: by how many machines a day the rest fell, in the middle of
all pairs of days, so that one odd day moves nothing. Two ways of going on bound the answer. With as
many machines every day it is done `earliest`; with the same share of those that are left every day,
as it goes when the last ones are the hardest to reach, `latest`.

| the last days say | forecast |
| --- | --- |
| enough have it | reached |
| fewer than three counts in the last seven days | too little is known |
| the rest does not fall, or it would take more than a year | not at this rate |
| otherwise | between two days, both after today |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import combinations
from math import ceil, log
from statistics import median

WINDOW = timedelta(days=7)
FEWEST = 3
FARTHEST_DAYS = 365
_HALF = 0.5
"""Less than half a machine is left: none is."""


class Outlook(StrEnum):
    REACHED = "reached"
    EXPECTED = "expected"
    NOT_AT_THIS_RATE = "not-at-this-rate"
    TOO_LITTLE_KNOWN = "too-little-known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """How many machines lacked it on a day, of how many that needed it since it came."""

    day: date
    machines: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    outlook: Outlook
    earliest: date | None = None
    latest: date | None = None
    """None with a day before it: perhaps never."""
    a_day: float = 0.0
    """By how many machines the rest fell a day."""


def forecast(counts: Sequence[Lacking], *, percent: int, today: date) -> Forecast:
    """Return when so many percent will have it; `counts` are in order, the last one is of today."""
    if not counts:
        return Forecast(outlook=Outlook.TOO_LITTLE_KNOWN)
    now = counts[-1]
    allowed = now.of * (100 - percent) // 100
    if now.machines <= allowed:
        return Forecast(outlook=Outlook.REACHED)
    recent = [one for one in counts if today - WINDOW <= one.day <= today]
    if len(recent) < FEWEST:
        return Forecast(outlook=Outlook.TOO_LITTLE_KNOWN)
    a_day = _fall(recent)
    if a_day <= 0:
        return Forecast(outlook=Outlook.NOT_AT_THIS_RATE)
    soonest = (now.machines - allowed) / a_day
    if soonest > FARTHEST_DAYS:
        return Forecast(outlook=Outlook.NOT_AT_THIS_RATE, a_day=a_day)
    share = a_day / max(one.machines for one in recent)
    slowest = log(now.machines / max(allowed, _HALF)) / -log(1 - share) if share < 1 else soonest
    return Forecast(
        outlook=Outlook.EXPECTED,
        earliest=_after(today, soonest),
        latest=_after(today, max(soonest, slowest)) if slowest <= FARTHEST_DAYS else None,
        a_day=a_day,
    )


def _fall(counts: Sequence[Lacking]) -> float:
    return median(
        (before.machines - after.machines) / (after.day - before.day).days
        for before, after in combinations(counts, 2)
    )


def _after(today: date, days: float) -> date:
    return today + timedelta(days=max(1, ceil(days)))
