"""How a machine stands as a whole. Unknown is never compliant, and has a reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from patchtide.domain.compliance.states import Tally


class Compliance(StrEnum):
    COMPLIANT = "compliant"
    REQUIRED = "required"
    """Some update is required."""
    RESTART = "restart"
    """Nothing is required, but what is installed takes effect only after a restart."""
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
    OLD_CATALOG = "old-catalog"
    """Nothing is known to be required, but the catalog it looked with is too old for some."""
    SOME_UNKNOWN = "some-unknown"
    """Nothing is known to be required, but some updates could not be judged there."""


@dataclass(frozen=True, slots=True)
class Judgement:
    compliance: Compliance
    doubt: Doubt = Doubt.NONE


_COMPLIANT = Judgement(Compliance.COMPLIANT)
_REQUIRED = Judgement(Compliance.REQUIRED)
_RESTART = Judgement(Compliance.RESTART)
_OLD_CATALOG = Judgement(Compliance.UNKNOWN, Doubt.OLD_CATALOG)
_SOME_UNKNOWN = Judgement(Compliance.UNKNOWN, Doubt.SOME_UNKNOWN)


class Told(Protocol):
    """What a machine says besides its sets: in its last report, and of its health since."""

    @property
    def reported_at(self) -> datetime | None: ...
    @property
    def scan(self) -> str: ...
    @property
    def follows_a_shard(self) -> bool: ...
    @property
    def is_of_this_catalog(self) -> bool: ...


def doubt_about(told: Told, *, now: datetime, stale_after: timedelta) -> Doubt:
    """Return why nothing of the row can be believed, if so.

    While a scan runs, the states of the last completed one stay in force.
    """
    if told.reported_at is None:
        return Doubt.NEVER_REPORTED
    if now - told.reported_at >= stale_after:
        return Doubt.STALE
    if told.scan in ("failed", "retrying"):
        return Doubt.SCAN_FAILED
    if told.scan not in ("completed", "running") or not told.follows_a_shard:
        return Doubt.NOT_SCANNED
    return Doubt.NONE if told.is_of_this_catalog else Doubt.OTHER_CATALOG


def judge(tally: Tally, *, restart_pending: bool, has_old_catalog: bool) -> Judgement:
    """Return how a machine that is believed stands, by how many updates are in which state.

    The catalog it looked with is old if some update has entered since the serial it evaluated.

    | required | restart pending | unknown | stands                                  |
    | -------- | --------------- | ------- | --------------------------------------- |
    | some     | any             | any     | required                                |
    | none     | yes             | any     | restart                                 |
    | none     | no              | some    | unknown: its catalog is old, or as such |
    | none     | no              | none    | compliant                               |
    """
    if tally.required:
        return _REQUIRED
    # Sure of it, while of what is unknown nobody is: and neither is compliant.
    if restart_pending:
        return _RESTART
    if tally.unknown:
        return _OLD_CATALOG if has_old_catalog else _SOME_UNKNOWN
    return _COMPLIANT
