"""What the use cases need for the history of facts: which lists became others, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedInventory:
    """A list of a client became another one; how they differ was not worked out yet."""

    client: int
    kind: str
    at: float
    was: bytes
    """The digest of its body before."""
    now: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptChange:
    client: int
    kind: str
    at: float
    told: bytes


class FactHistoryReading(Protocol):
    def changed(self, *, client: int | None = None, limit: int) -> Sequence[ChangedInventory]:
        """Return some, the oldest first; or those of one client."""
        ...

    def kept(self, client: int) -> Sequence[KeptChange]:
        """Return what was worked out, newest first."""
        ...

    def bodies(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return those of these bodies that are still there."""
        ...


class FactHistory(FactHistoryReading, Protocol):
    async def keep(
        self, done: Sequence[ChangedInventory], told: Sequence[KeptChange], *, most: int
    ) -> None:
        """Put what was worked out in place of what it was of; each client's newest of a kind stay.

        `most`: so many of them.
        """
        ...
