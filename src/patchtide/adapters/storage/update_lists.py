"""Saved searches and update lists."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, insert, select, true

from patchtide.adapters.storage import update_rows
from patchtide.adapters.storage.rows import instant
from patchtide.adapters.storage.tables import update_list, update_list_member, update_search
from patchtide.server.ports.update_lists import SavedSearch, StoredList

T = TypeVar("T")
K = TypeVar("K", bytes, str)
PART = 500
"""Both databases bound how many values a statement may have."""
_member = update_list_member.c


class ListWrites:
    """The UpdateListWriting port over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put_search(self, search: SavedSearch) -> None:
        self.drop_search(search.name)
        row = {"name": search.name, "query": search.query, "saved_by": search.by}
        row_at = {**row, "at": search.at.timestamp()}
        self._connection.execute(insert(update_search).values(row_at))

    def drop_search(self, name: str) -> bool:
        named = delete(update_search).where(update_search.c.name == name)
        return self._connection.execute(named).rowcount > 0

    def add_list(self, made: StoredList) -> bool:
        if self._is_there(made.name):
            return False
        row = {"name": made.name, "note": made.note, "made_by": made.by}
        row_at = {**row, "at": made.at.timestamp()}
        self._connection.execute(insert(update_list).values(row_at))
        return True

    def drop_list(self, name: str) -> bool:
        self._connection.execute(delete(update_list_member).where(_member.list_name == name))
        named = delete(update_list).where(update_list.c.name == name)
        return self._connection.execute(named).rowcount > 0

    def put_on(self, name: str, updates: Sequence[UUID]) -> int | None:
        if not self._is_there(name):
            return None
        update_rows.lock(self._connection, updates, against_removal=True)
        wanted = {update.bytes for update in updates}
        new = wanted.difference(*(self._there(name, part) for part in _parts(wanted)))
        rows = [{"list_name": name, "update_id": key} for key in sorted(new)]
        if rows:
            self._connection.execute(insert(update_list_member), rows)
        return len(rows)

    def take_off(self, name: str, updates: Sequence[UUID]) -> int | None:
        if not self._is_there(name):
            return None
        gone = 0
        for part in _parts({update.bytes for update in updates}):
            found = _member.list_name == name, _member.update_id.in_(part)
            gone += self._connection.execute(delete(update_list_member).where(*found)).rowcount
        return gone

    def held(self, updates: Collection[UUID]) -> Collection[UUID]:
        return _held(self._connection, updates)

    def _is_there(self, name: str) -> bool:
        # Locked where rows can be, so that nobody drops the list meanwhile.
        named = select(update_list.c.name).where(update_list.c.name == name).with_for_update()
        return self._connection.execute(named).first() is not None

    def _there(self, name: str, keys: Sequence[bytes]) -> set[bytes]:
        found = select(_member.update_id).where(
            _member.list_name == name, _member.update_id.in_(keys)
        )
        return set(self._connection.execute(found).scalars())


class Read(Protocol):
    """Runs a question on a connection of its own."""

    def __call__(self, question: Callable[[Connection], T], /) -> T: ...


class ListReads:
    """The UpdateListReading port."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def searches(self) -> Sequence[SavedSearch]:
        return self._read(_searches)

    def lists(self, names: Collection[str] | None = None) -> Sequence[StoredList]:
        if names is None:
            return self._read(lambda c: _lists(c, true()))
        parts = list(_parts(names))
        return self._read(
            lambda c: [x for some in parts for x in _lists(c, update_list.c.name.in_(some))]
        )

    def held(self, updates: Collection[UUID]) -> Collection[UUID]:
        return self._read(lambda c: _held(c, updates))


def _searches(connection: Connection) -> Sequence[SavedSearch]:
    found = connection.execute(select(update_search).order_by(update_search.c.name))
    return [
        SavedSearch(name=row.name, query=row.query, by=row.saved_by, at=instant(row.at))
        for row in found
    ]


def _lists(connection: Connection, named: ColumnElement[bool]) -> Sequence[StoredList]:
    on: dict[str, list[UUID]] = {}
    together = update_list.c.name == _member.list_name
    members = select(_member.list_name, _member.update_id).join(update_list, together).where(named)
    for name, key in connection.execute(members):
        on.setdefault(name, []).append(UUID(bytes=key))
    found = connection.execute(select(update_list).where(named).order_by(update_list.c.name))
    return [
        StoredList(
            name=row.name,
            note=row.note,
            by=row.made_by,
            at=instant(row.at),
            updates=frozenset(on.get(row.name, ())),
        )
        for row in found
    ]


def _held(connection: Connection, updates: Collection[UUID]) -> Collection[UUID]:
    held: set[UUID] = set()
    for part in _parts({update.bytes for update in updates}):
        found = select(_member.update_id).where(_member.update_id.in_(part)).distinct()
        held.update(UUID(bytes=key) for key in connection.execute(found).scalars())
    return held


def _parts(keys: Collection[K]) -> Iterator[list[K]]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), PART):
        yield ordered[start : start + PART]
