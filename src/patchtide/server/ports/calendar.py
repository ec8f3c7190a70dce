"""What the calendar needs from the database: windows, freezes and business hours as they are kept.

What an entry says is bytes here: the calendar's own words, which the database has no use for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class EntryKind(StrEnum):
    WINDOW = "window"
    FREEZE = "freeze"
    HOURS = "hours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One of them; it is a collection's, a location's, or with neither the whole site's."""

    id: UUID
    kind: EntryKind
    collection: UUID | None = None
    location: str = ""
    said: bytes
    by: str
    """Who changed it last."""
    at: datetime


class CalendarWriting(Protocol):
    """Inside one decision."""

    def hold(self, entry: UUID) -> Entry | None:
        """Return it. Until the end of this decision nobody else changes it."""
        ...

    def count(self) -> int: ...

    def put(self, entry: Entry) -> None:
        """Add it, or put it in the place of the one of its id."""
        ...

    def drop(self, entry: UUID) -> bool:
        """Say whether there was one."""
        ...

    def of(self, collection: UUID) -> Sequence[Entry]: ...

    def freezes(self) -> Sequence[Entry]: ...


class CalendarReading(Protocol):
    def entries(self, collections: Collection[UUID] | None = None) -> Sequence[Entry]:
        """Return those of these collections, or of all, and all that are of no collection."""
        ...

    def freezes(self) -> Sequence[Entry]: ...
