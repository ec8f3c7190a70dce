"""What the fleet's history needs from the database: a row a day, of updates and pairs some more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDay:
    day: date
    at: datetime
    """When it was counted last."""
    document: bytes


class HistoryReading(Protocol):
    def days(self, *, first: date, last: date) -> Sequence[StoredDay]:
        """Return the days that somebody counted on, in order."""
        ...

    def newest(self, *, before: date) -> StoredDay | None: ...

    def recorded(self) -> Sequence[date]:
        """Return all days that somebody counted on, in order."""
        ...

    def block(self, block: int, *, first: date, last: date) -> Sequence[tuple[date, bytes]]:
        """Return the counts of the updates in one block, day by day."""
        ...

    def pairs(self, part: int, *, first: date, last: date) -> Sequence[tuple[date, bytes]]:
        """Return the counts of the collections in one part, day by day."""
        ...

    def needing(self, block: int, *, first: date, last: date) -> Sequence[tuple[date, bytes]]:
        """Return which machines needed the updates in one block, as far as days keep that."""
        ...

    def needed_since(self) -> Sequence[tuple[int, bytes]]:
        """Return since when which machines need the updates of each block."""
        ...

    def place(self, update: UUID) -> int | None:
        """Return under which number an update is counted."""
        ...

    def places(self) -> Mapping[UUID, int]: ...

    def progress(self, day: date) -> bytes | None: ...


class HistoryWriting(Protocol):
    """Inside one decision."""

    def add_places(self, first: int, updates: Sequence[UUID]) -> None:
        """Number these updates from there on."""
        ...

    def put_day(
        self,
        day: StoredDay,
        *,
        blocks: Sequence[bytes],
        pairs: Mapping[int, bytes],
        progress: bytes,
    ) -> None:
        """Put it in place of what was counted on that day before.

        Of `progress` no more than that of the newest two days is kept.
        """
        ...

    def put_needed_since(self, blocks: Mapping[int, bytes]) -> None: ...

    def put_needing(self, day: date, blocks: Mapping[int, bytes], *, kept_since: date) -> None:
        """Put which machines need what on that day; of days before the last it is kept no more."""
        ...

    def drop_days(self, days: Sequence[date]) -> None: ...
