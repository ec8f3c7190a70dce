"""How often, and for how long in all, whoever sits at a machine may put off what is due there.

What a site sets is bounded, here for whoever sets it and once more on the machine. Instants are
epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from patchtide.domain.schedules.scanning import DAY_S

TIMES = 3
MOST_TIMES = 100
WITHIN_S = DAY_S
LONGEST_S = 28 * DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class PostponeLimit:
    times: int = TIMES
    within_s: int = WITHIN_S
    """From when it was due at first, however often it is put off."""

    def until(self, *, due: float, deadline: float, postponed: int = 0) -> float:
        """Return until when it may be put off that was due at first then, after so many times.

        When it was due, or before: it may not be.
        """
        within_s = self.within_s if postponed < self.times else 0
        return min(due + within_s, deadline)


AS_SITES_BEGIN = PostponeLimit()


def bounded_limit(times: int | None, within_s: int | None) -> PostponeLimit:
    """Return the limit that was told within what may be told; None: as sites begin."""
    return PostponeLimit(
        times=TIMES if times is None else min(times, MOST_TIMES),
        within_s=WITHIN_S if within_s is None else min(within_s, LONGEST_S),
    )
