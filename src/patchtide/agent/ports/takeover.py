"""Others that install updates here: kept from it for as long as the site wants, and no longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from patchtide.domain.errors import PatchtideError


class TakeoverFailed(PatchtideError):
    """Other updaters could not be held back or let go: the mark of it could not be stored."""

    code = "takeover-failed"


class Takeover(Protocol):
    """Who else is at work on the same packages, by the codes of `domain.findings`."""

    def at_work(self) -> Sequence[str]: ...

    def taken(self) -> Sequence[str]:
        """Return who would be at work, but is held back."""
        ...

    def hold(self, *, wanted: bool) -> None:
        """Hold them back from now on, or let them be as they were.

        Raises:
            TakeoverFailed: it could not be stored.
        """
        ...
