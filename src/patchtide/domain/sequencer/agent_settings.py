"""The habits of agents, as a site sets them: how often they speak and look.

Now they are the same for all machines of a site. What a site may set is bounded, here for whoever
sets it and once more on the machine, which believes no server beyond these limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.domain.schedules.recurrence import OnCycle
from patchtide.domain.schedules.scanning import (
    LONGEST_POLL_S,
    LONGEST_SCAN_S,
    SCAN_EVERY_S,
    SHORTEST_POLL_S,
    SHORTEST_SCAN_S,
)
from patchtide.domain.sequencer.proxies import Proxy


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    poll_s: int = 0
    """Between two check-ins; 0: as the server was started with."""
    scan_every_s: int = SCAN_EVERY_S
    anchor: OnCycle | None = None
    """Days on which machines scan besides."""
    proxy: Proxy | None = None
    """By which machines reach the server; None: as they are."""

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise InvalidDocument(problems)

    def _problems(self) -> Iterator[Problem]:
        if self.poll_s and not SHORTEST_POLL_S <= self.poll_s <= LONGEST_POLL_S:
            yield Problem("poll_s", f"is {SHORTEST_POLL_S} to {LONGEST_POLL_S} seconds")
        if not SHORTEST_SCAN_S <= self.scan_every_s <= LONGEST_SCAN_S:
            yield Problem("scan_every_s", f"is {SHORTEST_SCAN_S} to {LONGEST_SCAN_S} seconds")
        if self.poll_s > self.scan_every_s:
            yield Problem("poll_s", "is longer than between two scans, which begin with a check-in")
