"""The calendar in memory, as the plane's tests need it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from patchtide.server.ports.calendar import Entry, EntryKind


@dataclass
class MemoryCalendar:
    known: dict[UUID, Entry] = field(default_factory=dict)

    def hold(self, entry: UUID) -> Entry | None:
        return self.known.get(entry)

    def count(self) -> int:
        return len(self.known)

    def put(self, entry: Entry) -> None:
        self.known[entry.id] = entry

    def drop(self, entry: UUID) -> bool:
        return self.known.pop(entry, None) is not None

    def of(self, collection: UUID) -> Sequence[Entry]:
        return [one for one in self.known.values() if one.collection == collection]

    def freezes(self) -> Sequence[Entry]:
        return [one for one in self.known.values() if one.kind is EntryKind.FREEZE]

    def entries(self, collections: Collection[UUID] | None = None) -> Sequence[Entry]:
        return [
            one
            for one in self.known.values()
            if collections is None or one.collection is None or one.collection in collections
        ]
