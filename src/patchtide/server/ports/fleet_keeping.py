"""Where the view of the fleet is written down between two runs of a server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class FleetKeeping(Protocol):
    def read(self) -> bytes | None:
        """Return what was written last; None: nothing was."""
        ...

    def age_s(self) -> float:
        """Return how many seconds ago something was written, by whomever."""
        ...

    def write(self, parts: Iterable[bytes]) -> None:
        """Put it in place of what was written before: all of it or, if that fails, nothing.

        Nothing is written while somebody else does.
        """
        ...
