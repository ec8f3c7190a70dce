"""What followers of the two logs need: cursors, and what came after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    epoch: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDelta:
    """One accepted report as the index follows it; all empty: only its scan changed."""

    change: int
    client: int
    required_added: bytes = b""
    required_removed: bytes = b""
    installed_added: bytes = b""
    installed_removed: bytes = b""
    unknown_added: bytes = b""
    unknown_removed: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionEvent:
    """One decision as followers of the log see it."""

    change: int
    at: datetime
    actor: str
    operation: str
    subject: str
    detail: Mapping[str, object]


class Following(Protocol):
    """The two logs, read by change number. An old or foreign cursor raises CursorLost."""

    def epoch(self) -> Cursor: ...

    def deltas(
        self, cursor: Cursor, *, limit: int = 1000
    ) -> tuple[Cursor, Sequence[StateDelta]]: ...

    def decided(
        self, cursor: Cursor, *, limit: int = 1000
    ) -> tuple[Cursor, Sequence[DecisionEvent]]: ...

    async def keep_cursor(self, follower: str, cursor: Cursor) -> None:
        """Remember up to where a follower has read; the log is kept for it from there."""
        ...
