"""What saved searches and update lists need from the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSearch:
    name: str
    query: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredList:
    name: str
    note: str
    by: str
    at: datetime
    updates: frozenset[UUID] = frozenset()
    """What is on it; some may be known no more."""


class UpdateListWriting(Protocol):
    """Inside one decision."""

    def put_search(self, search: SavedSearch) -> None: ...

    def drop_search(self, name: str) -> bool: ...

    def add_list(self, made: StoredList) -> bool:
        """Return False if there is one of that name already."""
        ...

    def drop_list(self, name: str) -> bool: ...

    def put_on(self, name: str, updates: Sequence[UUID]) -> int | None:
        """Return how many were not on it before; None: there is no such list."""
        ...

    def take_off(self, name: str, updates: Sequence[UUID]) -> int | None:
        """Return how many were on it; None: there is no such list."""
        ...

    def held(self, updates: Collection[UUID]) -> Collection[UUID]:
        """Return those of the updates that are on a list."""
        ...


class UpdateListReading(Protocol):
    def searches(self) -> Sequence[SavedSearch]: ...

    def lists(self, names: Collection[str] | None = None) -> Sequence[StoredList]:
        """Return those of these names, or all, with what is on them."""
        ...

    def held(self, updates: Collection[UUID]) -> Collection[UUID]:
        """Return those of the updates that are on a list."""
        ...
