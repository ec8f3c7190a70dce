"""What monitoring is told of a site: few figures, however large the fleet is.

No figure is of one machine or of one update, so there are never more of them than are named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How far the view of the fleet is behind the database."""

    changes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What is required somewhere, of one severity and risk class."""

    updates: int = 0
    installations: int = 0
    """How many machines require each, added up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFigures:
    admitted: Mapping[str, int]
    compliance: Mapping[str, int]
    """Among active machines, as all that follows."""
    doubts: Mapping[str, int]
    scans: Mapping[str, int]
    silent: int
    restarting: int
    updates: int
    needed: Mapping[tuple[str, str], Needed]
    """By severity and risk class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SynchronisationFigures:
    """Times are epoch seconds; 0: never."""

    result: str = ""
    ended_at: float = 0.0
    done_at: float = 0.0
    """When the last one began that read all feeds."""
    asked: tuple[str, ...] = ()
    """The feeds that the last one was for; none: all."""
    failed: tuple[str, ...] = ()

    def is_read(self, feed: str) -> bool:
        """Say whether the feed was read when it was asked for last."""
        if self.asked and feed not in self.asked:
            return True  # only those are asked again that failed
        return self.result == "done" and feed not in self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    fleet: FleetFigures
    backlog: Backlog
    synchronisation: SynchronisationFigures
    alerts: Mapping[str, bool]
    """Whether each rule is raised."""


class Exposition(Protocol):
    def __call__(self, figures: Figures) -> bytes:
        """Return the site's figures, and the node's own, as monitoring reads them."""
        ...
