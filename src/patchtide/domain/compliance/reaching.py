"""How long updates take: on which day so many of those that needed one had it.

Counted day by day from the first on which some machine needed it. Machines that had it before are
left out, and so are those that need it no more for another reason: what counts is who got it, and
who still lacks it. Whoever has it and waits for a restart does not have it yet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

SHARES = (50, 90, 95, 99)
"""Percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaching:
    since: date
    """The first day on which it was counted as required."""
    base: int
    """How many had it before."""
    reached: tuple[date | None, ...] = (None,) * len(SHARES)
    """Of each of `SHARES`: the first day on which so many had it."""

    def days_to(self, share: int) -> int | None:
        day = self.reached[SHARES.index(share)]
        return None if day is None else (day - self.since).days


def got(has: int, *, base: int) -> int:
    """Return how many got it since: machines that had it may have gone."""
    return max(0, has - base)


def advanced(
    before: Reaching | None, *, day: date, required: int, has: int, had: int
) -> Reaching | None:
    """Return how far the update is after a day's count; None: nobody ever needed it.

    `had` is how many had it when it was counted before.
    """
    if before is None:
        if required == 0:
            return None
        before = Reaching(since=day, base=had)
    count = got(has, base=before.base)
    whole = count + required
    reached = tuple(
        day if known is None and whole and count * 100 >= share * whole else known
        for share, known in zip(SHARES, before.reached, strict=True)
    )
    return before if reached == before.reached else replace(before, reached=reached)
