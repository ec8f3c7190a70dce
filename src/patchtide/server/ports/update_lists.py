"""What saved searches and update lists need from the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

EVERYBODY = ""
"""The owner of what everybody on the site sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSearch:
    name: str
    query: str
    owner: str = EVERYBODY
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

    def search(self, name: str, *, owner: str) -> SavedSearch | None: ...

    def searches_with(self, text: str) -> Sequence[SavedSearch]:
        """Return everybody's, and each person's own, whose query has this text somewhere."""
        ...

    def count_searches(self, owner: str) -> int: ...

    def put_search(self, search: SavedSearch) -> None:
        """Its owner has none of that name."""
        ...

    def drop_search(self, name: str, *, owner: str) -> bool: ...

    def count_lists(self) -> int: ...

    def add_list(self, made: StoredList) -> bool:
        """Return False if there is one of that name already."""
        ...

    def rename_list(self, name: str, to: str) -> bool | None:
        """Return False if there is one of the new name already; None: there is no such list."""
        ...

    def drop_list(self, name: str) -> bool: ...

    def length(self, name: str) -> int: ...

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
    def searches(self, owners: Collection[str]) -> Sequence[SavedSearch]: ...

    def lists(self, names: Collection[str] | None = None) -> Sequence[StoredList]:
        """Return those of these names, or all, with what is on them."""
        ...

    def held(self, updates: Collection[UUID]) -> Collection[UUID]:
        """Return those of the updates that are on a list."""
        ...
