"""The calendar as it is kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select, update

from patchtide.adapters.storage.calendar_tables import calendar_entry
from patchtide.adapters.storage.rows import instant
from patchtide.adapters.storage.update_lists import Read
from patchtide.server.ports.calendar import Entry, EntryKind

PART = 500
"""Both databases bound how many values a statement may have."""
_OF_NONE = b""
_c = calendar_entry.c


class CalendarWrites:
    """The CalendarWriting port over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def hold(self, entry: UUID) -> Entry | None:
        found = select(calendar_entry).where(_c.uuid == entry.bytes).with_for_update()
        row = self._connection.execute(found).first()
        return None if row is None else _entry(row)

    def count(self) -> int:
        counted = select(func.count()).select_from(calendar_entry)
        return self._connection.execute(counted).scalar_one()

    def put(self, entry: Entry) -> None:
        row = _row(entry)
        this = update(calendar_entry).where(_c.uuid == entry.id.bytes).values(row)
        if not self._connection.execute(this).rowcount:
            self._connection.execute(insert(calendar_entry).values(uuid=entry.id.bytes, **row))

    def drop(self, entry: UUID) -> bool:
        gone = delete(calendar_entry).where(_c.uuid == entry.bytes)
        return self._connection.execute(gone).rowcount > 0

    def of(self, collection: UUID) -> Sequence[Entry]:
        return _of(self._connection, [collection.bytes])

    def freezes(self) -> Sequence[Entry]:
        return _freezes(self._connection)


class CalendarReads:
    """The CalendarReading port."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def entries(self, collections: Collection[UUID] | None = None) -> Sequence[Entry]:
        if collections is None:
            return self._read(lambda c: _all(c))
        keys = [_OF_NONE, *sorted(key.bytes for key in collections)]
        return self._read(lambda c: _of(c, keys))

    def freezes(self) -> Sequence[Entry]:
        return self._read(_freezes)


def _all(connection: Connection) -> list[Entry]:
    return [_entry(row) for row in connection.execute(select(calendar_entry).order_by(_c.uuid))]


def _freezes(connection: Connection) -> list[Entry]:
    found = select(calendar_entry).where(_c.kind == EntryKind.FREEZE.value).order_by(_c.uuid)
    return [_entry(row) for row in connection.execute(found)]


def _of(connection: Connection, keys: Sequence[bytes]) -> list[Entry]:
    found = select(calendar_entry).order_by(_c.uuid)
    parts = (keys[start : start + PART] for start in range(0, len(keys), PART))
    return [
        _entry(row)
        for part in parts
        for row in connection.execute(found.where(_c.collection.in_(part)))
    ]


def _entry(row: Any) -> Entry:
    return Entry(
        id=UUID(bytes=row.uuid),
        kind=EntryKind(row.kind),
        collection=UUID(bytes=row.collection) if row.collection else None,
        location=row.location,
        said=row.said,
        by=row.changed_by,
        at=instant(row.changed_at),
    )


def _row(entry: Entry) -> dict[str, object]:
    return {
        "kind": entry.kind.value,
        "collection": entry.collection.bytes if entry.collection else _OF_NONE,
        "location": entry.location,
        "said": entry.said,
        "changed_by": entry.by,
        "changed_at": entry.at.timestamp(),
    }
