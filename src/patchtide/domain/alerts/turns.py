"""Whether an alert is raised, goes on, or ends: one step each time that something was measured.

| is raised | measured            | since          | then                                      |
| --------- | ------------------- | -------------- | ----------------------------------------- |
| no        | bad                 | long enough    | raised                                    |
| no        | bad                 | not long       | nothing yet                               |
| yes       | good                | long enough    | ended                                     |
| yes       | good                | not long       | nothing yet                               |
| either    | in between, nothing | whatever it is | as it was, and what had begun begins anew |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from patchtide.domain.alerts.rules import Rule


class Turn(StrEnum):
    RAISED = "raised"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Standing:
    is_raised: bool = False
    turning_since: datetime | None = None
    """Since when it is bad and not raised, or raised and good."""


def advance(
    rule: Rule, known: Standing, value: float | None, *, now: datetime
) -> tuple[Standing, Turn | None]:
    """Return how the rule stands with what was measured now; None: nothing could be."""
    if value is None:
        return Standing(known.is_raised), None
    turns = rule.is_good(value) if known.is_raised else rule.is_bad(value)
    if not turns:
        return Standing(known.is_raised), None
    since = known.turning_since
    if since is None or since > now:  # a clock that was put back has measured no time
        since = now
    if now - since < rule.lasting:
        return Standing(known.is_raised, since), None
    return Standing(not known.is_raised), Turn.ENDED if known.is_raised else Turn.RAISED
