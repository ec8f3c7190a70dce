"""The time, as the machine has it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Return epoch seconds. May jump in either direction."""
        ...
