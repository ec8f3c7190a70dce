"""What people say of a machine, which it cannot know itself: whose, what for, where, how critical.

| scored from 0 to 5 | 5 says |
| --- | --- |
| redundancy | nothing else does its work when it is down |
| business | the business stands still without it |
| complexity | it is hard to change, and hard to put right |
| downtime | an hour of its absence costs the most |
| distance | nobody can be there soon |
| testing | its applications have to be tested after each change |

Their sum is the machine's criticality. What nobody has scored adds nothing to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from patchtide.domain.catalog.risk import Exposure

SCORES = ("business", "downtime", "redundancy", "testing", "complexity", "distance")
"""By weight: of two machines of one sum, the one that scores more in the first comes first."""
HIGHEST = 5


class RestartCode(StrEnum):
    """How a machine may be restarted, which counts for more than what a deployment says."""

    UNSAID = ""
    AUTOMATIC = "automatic"
    NONE = "none"
    INTERACTIVE = "interactive"
    SCRIPT = "script"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    owner: str = ""
    roles: tuple[str, ...] = ()
    """In order of the alphabet, each once."""
    exposure: Exposure = Exposure.ORDINARY
    location: str = ""
    cluster: str = ""
    """Which others do the same work: not all of them are to be away at once."""
    management_group: str = ""
    tags: tuple[str, ...] = ()
    """In order of the alphabet, each once."""
    redundancy: int | None = None
    business: int | None = None
    complexity: int | None = None
    downtime: int | None = None
    distance: int | None = None
    testing: int | None = None
    schedule: UUID | None = None
    """The collection in whose windows the machine may be changed."""
    restart: RestartCode = RestartCode.UNSAID

    @property
    def scores(self) -> tuple[int | None, ...]:
        """Return them by weight; None: nobody has scored it."""
        return tuple(getattr(self, name) for name in SCORES)

    @property
    def criticality(self) -> int | None:
        """Return the sum of what is scored; None: nothing is."""
        scored = [score for score in self.scores if score is not None]
        return sum(scored) if scored else None

    @property
    def rank(self) -> tuple[int, ...] | None:
        """Return its place among others: the sum, then the scores by weight; None: it has none."""
        total = self.criticality
        return None if total is None else (total, *(score or 0 for score in self.scores))


UNDESCRIBED = Described()
