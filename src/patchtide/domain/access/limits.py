"""How many machines may be disturbed within an hour, by one person and at the whole site (S16).

The largest disasters in this field were authorised actions: somebody with every right, or whoever
stole it, did too much at once. So there is a bound that no right lifts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    person: int = 100
    """Within an hour, so many machines, tokens or people by one person and her programs."""
    site: int = 300
    """And so many by all of them."""


@dataclass(frozen=True, slots=True)
class Disruption:
    """Something that was done to so many."""

    at: datetime
    by: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceeded:
    """Why it may not be done now."""

    limit: int
    spent: int
    is_of_site: bool
    free_at: datetime
    """When it may be, if nothing else is done until then; with more than the limit, never."""


def recent(done: Iterable[Disruption], now: datetime) -> list[Disruption]:
    """Return what still counts. A clock that was put back frees nobody."""
    return [one for one in done if one.at > now - HOUR]


def exceeded(done: Iterable[Disruption], wanted: Disruption, limits: Limits) -> Exceeded | None:
    """Say why not; None: it may be done."""
    counted = recent(done, wanted.at)
    own = [one for one in counted if one.by == wanted.by]
    return _over(own, wanted, limits.person, is_of_site=False) or _over(
        counted, wanted, limits.site, is_of_site=True
    )


def _over(
    done: list[Disruption], wanted: Disruption, limit: int, *, is_of_site: bool
) -> Exceeded | None:
    spent = sum(one.count for one in done)
    if spent + wanted.count <= limit:
        return None
    left, free_at = spent, wanted.at
    for one in sorted(done, key=lambda one: one.at):
        if left + wanted.count <= limit:
            break
        left, free_at = left - one.count, one.at + HOUR
    return Exceeded(limit=limit, spent=spent, is_of_site=is_of_site, free_at=free_at)
