"""Rules of alerts: what is watched, from where on it is bad, and when it is good again.

Everything that is watched comes to one number, so one rule has one limit and one margin. Between
the limit and the margin nothing changes, which keeps an alert from coming and going.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from patchtide.domain.errors import InvalidDocument, Problem


class Watched(StrEnum):
    COMPLIANCE = "compliance"
    """How many of all active machines are up to date on some updates."""
    SCAN_FAILURES = "scan-failures"
    SILENCE = "silence"
    WAITING_REPORTS = "waiting-reports"
    INDEX_LAG = "index-lag"
    SYNCHRONISATIONS = "failed-synchronisations"
    """How many failed one after the other, up to the last one."""
    DISK = "disk"
    """How full the disk of the server's home is."""
    DIVERGENCE = "divergence"
    """How many documents of metadata were seen that the site never signed, within a day.

    One that a thousand machines were shown is one: it is noted once, so the only limit is 1.
    """
    CLONES = "clones"
    """How many machines were quarantined for being two, within a day."""
    LIMITS = "limits"
    """How often somebody was stopped by the limits per hour, or set them, within a day."""
    PROPOSALS = "proposals"
    """How much was proposed that needs a second person, within a day."""


class Unit(StrEnum):
    COUNT = "count"
    PERCENT = "percent"
    SECONDS = "seconds"


_OF_MACHINES = (Unit.COUNT, Unit.PERCENT)
UNITS: Mapping[Watched, tuple[Unit, ...]] = MappingProxyType(
    {
        Watched.COMPLIANCE: (Unit.PERCENT,),
        Watched.SCAN_FAILURES: _OF_MACHINES,
        Watched.SILENCE: _OF_MACHINES,
        Watched.WAITING_REPORTS: (Unit.COUNT,),
        Watched.INDEX_LAG: (Unit.SECONDS,),
        Watched.SYNCHRONISATIONS: (Unit.COUNT,),
        Watched.DISK: (Unit.PERCENT,),
        Watched.DIVERGENCE: (Unit.COUNT,),
        Watched.CLONES: (Unit.COUNT,),
        Watched.LIMITS: (Unit.COUNT,),
        Watched.PROPOSALS: (Unit.COUNT,),
    }
)
"""In what each can be said; the first one is meant where nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`limit` is where it is bad: of compliance what is below it, of all else it and above."""

    name: str
    watched: Watched
    limit: float
    unit: Unit
    query: str = ""
    """Of compliance: which updates count; none: all."""
    margin: float = 0.0
    """So far beyond the limit it must come back to be good again."""
    lasting: timedelta = timedelta(minutes=5)
    """So long it must be bad, or good again, without a break."""

    def __post_init__(self) -> None:
        """Raises InvalidDocument: it could never be raised, or never end."""
        problems = [
            Problem(where, what)
            for where, is_so, what in (
                ("unit", self.unit not in UNITS[self.watched], self._units()),
                ("limit", self.limit <= 0, "must be more than 0"),
                ("limit", self._is_percent and self.limit > 100, "is at most 100 percent"),
                ("query", self.query != "" and not self._is_below, "is only for compliance"),
                ("margin", not self._can_end, "leaves nothing at which the alert would end"),
            )
            if is_so
        ]
        if problems:
            raise InvalidDocument(problems)

    def is_bad(self, value: float) -> bool:
        return value < self.limit if self._is_below else value >= self.limit

    def is_good(self, value: float) -> bool:
        if self._is_below:
            return value >= self.limit + self.margin
        return value < self.limit - self.margin

    @property
    def _is_below(self) -> bool:
        return self.watched is Watched.COMPLIANCE

    @property
    def _is_percent(self) -> bool:
        return self.unit is Unit.PERCENT

    @property
    def _can_end(self) -> bool:
        if self._is_below:
            return self.limit + self.margin <= 100
        return self.margin < self.limit

    def _units(self) -> str:
        return f"of {self.watched} is {' or '.join(UNITS[self.watched])}"
