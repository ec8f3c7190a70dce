"""How a machine stands as a whole. Unknown is never compliant, and has a reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from patchtide.domain.compliance.states import Tally

STALE_AFTER = timedelta(days=14)


class Compliance(StrEnum):
    COMPLIANT = "compliant"
    REQUIRED = "required"
    """Some update is required."""
    UNKNOWN = "unknown"


class Doubt(StrEnum):
    """Why nobody can say how a machine stands."""

    NONE = ""
    NOT_ACTIVE = "not-active"
    """The machine is not let in: what it said before does not count."""
    NEVER_REPORTED = "never-reported"
    STALE = "stale"
    SCAN_FAILED = "scan-failed"
    NOT_SCANNED = "not-scanned"
    OTHER_CATALOG = "other-catalog"
    """The states speak of a catalog with another numbering."""
    SOME_UNKNOWN = "some-unknown"
    """Nothing is known to be required, but some updates could not be judged."""


@dataclass(frozen=True, slots=True)
class Judgement:
    compliance: Compliance
    doubt: Doubt = Doubt.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a machine's last report says besides its sets."""

    reported_at: datetime | None = None
    scan: str = "none"
    follows_a_shard: bool = False
    is_of_this_catalog: bool = True


def doubt_about(told: Told, *, now: datetime) -> Doubt:
    """Return why nothing of the row can be believed, if so.

    While a scan runs, the states of the last completed one stay in force.
    """
    if told.reported_at is None:
        return Doubt.NEVER_REPORTED
    if now - told.reported_at >= STALE_AFTER:
        return Doubt.STALE
    if told.scan in ("failed", "retrying"):
        return Doubt.SCAN_FAILED
    if told.scan not in ("completed", "running") or not told.follows_a_shard:
        return Doubt.NOT_SCANNED
    return Doubt.NONE if told.is_of_this_catalog else Doubt.OTHER_CATALOG


def judge(doubt: Doubt, tally: Tally) -> Judgement:
    """Return how the machine stands, from how many updates are in which state."""
    if doubt is not Doubt.NONE:
        return Judgement(Compliance.UNKNOWN, doubt)
    if tally.required:
        return Judgement(Compliance.REQUIRED)
    if tally.unknown:
        return Judgement(Compliance.UNKNOWN, Doubt.SOME_UNKNOWN)
    return Judgement(Compliance.COMPLIANT)
