"""What a look at a machine finds: fine, to be known, or wrong, what to do, and what mends itself.

A machine looks at itself and its server looks at it from outside; both say it in these words.
Wrong is what keeps the truth about a machine from its administrator, or keeps updates from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

CLOCK_TOLERANCE_S = 300.0
LITTLE_SPACE, TOO_LITTLE_SPACE = 256 << 20, 32 << 20
CLOCK, SPACE, SERVICE = "clock", "space", "service"
FAULTS: Mapping[str, str] = MappingProxyType(
    {
        CLOCK: "its clock is off",
        SPACE: "its disk is full",
        SERVICE: "its agent is not started with the machine",
    }
)
"""What a machine tells its server of itself with each check-in, by code; an agent may know more."""
UPDATERS: Mapping[str, str] = MappingProxyType(
    {
        "unattended-upgrades": "unattended-upgrades installs updates by itself",
        "dnf-automatic": "dnf-automatic installs updates by itself",
        "packagekit": "PackageKit installs updates by itself",
    }
)
"""Others at work on the same packages, told in the same way."""


class Level(StrEnum):
    """Whether something has to be done."""

    FINE = "fine"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    level: Level
    said: str
    cure: str = ""
    repair: str = ""
    """What a repair does about it by itself; empty: that is left to somebody."""


def fine(check: str, said: str) -> Finding:
    return Finding(check, Level.FINE, said)


def note(check: str, said: str, cure: str = "", *, repair: str = "") -> Finding:
    return Finding(check, Level.NOTE, said, cure, repair)


def wrong(check: str, said: str, cure: str, *, repair: str = "") -> Finding:
    return Finding(check, Level.WRONG, said, cure, repair)


def ago(seconds: float) -> str:
    """Return how long ago in words."""
    if seconds < 0:
        return "in the future, by this machine's clock"
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} seconds ago"
