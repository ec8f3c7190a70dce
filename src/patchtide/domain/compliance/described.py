"""What people say of a machine, which it cannot know itself: whose it is, what for, and where."""

from __future__ import annotations

from dataclasses import dataclass

from patchtide.domain.catalog.risk import Exposure


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    owner: str = ""
    roles: tuple[str, ...] = ()
    """In order of the alphabet, each once."""
    exposure: Exposure = Exposure.ORDINARY
    location: str = ""


UNDESCRIBED = Described()


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is said of some machines from now on; None: what was said of each stays."""

    owner: str | None = None
    roles: tuple[str, ...] | None = None
    exposure: Exposure | None = None
    location: str | None = None

    @property
    def says_nothing(self) -> bool:
        return self == Description()
