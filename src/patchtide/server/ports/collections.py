"""What collections of machines need from the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from patchtide.domain.collections.definitions import Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCollection:
    definition: Definition
    description: str = ""
    is_tier_zero: bool = False
    """Who is in it is a machine of tier 0, whatever else it is in."""
    revision: int
    """One more with each change of it; machines that are added or removed change nothing of it."""
    by: str
    """Who changed it last."""
    at: datetime

    @property
    def id(self) -> UUID:
        return self.definition.id

    @property
    def name(self) -> str:
        return self.definition.name


class CollectionWriting(Protocol):
    """Inside one decision."""

    def hold(self) -> Sequence[StoredCollection]:
        """Return all of them, without the machines that they name.

        Until the end of this decision nobody else changes one.
        """
        ...

    def add(self, made: StoredCollection) -> None:
        """Raises StaleRevision: another node made one of that name or id at the same time."""
        ...

    def change(self, changed: StoredCollection) -> None:
        """Put it in the place of the one of its id; the machines that it names stay.

        Raises:
            StaleRevision: another node made one of that name at the same time.
        """
        ...

    def drop(self, collection: UUID) -> None: ...

    def size(self, collection: UUID) -> int:
        """Return how many machines it names."""
        ...

    def named(self, collection: UUID) -> Sequence[int]:
        """Return the machines that it names, in order."""
        ...

    def put_in(self, collection: UUID, clients: Sequence[int]) -> Sequence[int]:
        """Return those that it did not name before."""
        ...

    def take_out(self, collection: UUID, clients: Sequence[int]) -> Sequence[int]:
        """Return those that it named before."""
        ...


class CollectionReading(Protocol):
    def all(self, some: Collection[UUID] | None = None) -> Sequence[StoredCollection]:
        """Return those of these ids, or all, with the machines that they name."""
        ...
