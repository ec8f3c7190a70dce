"""Collections in memory, as the plane's tests need them: what is defined is there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from pyroaring import BitMap

from patchtide.server.ports.collections import StoredCollection


@dataclass
class MemoryCollections:
    known: dict[UUID, StoredCollection] = field(default_factory=dict)

    def hold(self) -> Sequence[StoredCollection]:
        return self.all()

    def all(self, some: Collection[UUID] | None = None) -> Sequence[StoredCollection]:
        return [one for key, one in self.known.items() if some is None or key in some]

    def add(self, made: StoredCollection) -> None:
        self.known[made.id] = made

    def change(self, changed: StoredCollection) -> None:
        self.known[changed.id] = changed

    def drop(self, collection: UUID) -> None:
        del self.known[collection]

    def size(self, collection: UUID) -> int:
        return len(self.known[collection].definition.direct)

    def named(self, collection: UUID) -> Sequence[int]:
        return list(self.known[collection].definition.direct)

    def put_in(self, collection: UUID, clients: Sequence[int]) -> Sequence[int]:
        was = self.known[collection].definition.direct
        self._name(collection, was | BitMap(clients))
        return [client for client in clients if client not in was]

    def take_out(self, collection: UUID, clients: Sequence[int]) -> Sequence[int]:
        was = self.known[collection].definition.direct
        self._name(collection, was - BitMap(clients))
        return [client for client in clients if client in was]

    def _name(self, collection: UUID, direct: BitMap) -> None:
        one = self.known[collection]
        definition = replace(one.definition, direct=direct)
        self.known[collection] = replace(one, definition=definition)
