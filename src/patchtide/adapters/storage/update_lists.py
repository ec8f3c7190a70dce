"""Update lists, and with them saved searches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select, update

from patchtide.adapters.storage import saved_searches, update_rows
from patchtide.adapters.storage.catalog_tables import update_list, update_list_member
from patchtide.adapters.storage.rows import instant
from patchtide.server.ports.update_lists import SavedSearch, StoredList

T = TypeVar("T")
K = TypeVar("K", bytes, str)
PART = 500
"""Both databases bound how many values a statement may have."""
LISTS = 8
"""Lists that are read at once; each may be long."""
_member = update_list_member.c


class ListWrites:
    """The UpdateListWriting port over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def search(self, name: str, *, owner: str) -> SavedSearch | None:
        found = saved_searches.of(self._connection, [owner], name=name)
        return found[0] if found else None

    def searches_with(self, text: str) -> Sequence[SavedSearch]:
        return saved_searches.having(self._connection, text)

    def count_searches(self, owner: str) -> int:
        return saved_searches.count(self._connection, owner)

    def put_search(self, search: SavedSearch) -> None:
        saved_searches.put(self._connection, search)

    def drop_search(self, name: str, *, owner: str) -> bool:
        return saved_searches.drop(self._connection, name, owner=owner)

    def count_lists(self) -> int:
        return self._connection.execute(select(func.count()).select_from(update_list)).scalar_one()

    def add_list(self, made: StoredList) -> bool:
        if self._is_there(made.name):
            return False
        row = {"name": made.name, "note": made.note, "made_by": made.by}
        row_at = {**row, "at": made.at.timestamp()}
        self._connection.execute(insert(update_list).values(row_at))
        return True

    def rename_list(self, name: str, to: str) -> bool | None:
        if not self._is_there(name):
            return None
        if self._is_there(to):
            return False
        renamed = update(update_list).where(update_list.c.name == name).values(name=to)
        self._connection.execute(renamed)
        moved = update(update_list_member).where(_member.list_name == name).values(list_name=to)
        self._connection.execute(moved)
        return True

    def length(self, name: str) -> int:
        on = select(func.count()).where(_member.list_name == name)
        return self._connection.execute(on).scalar_one()

    def drop_list(self, name: str) -> bool:
        self._connection.execute(delete(update_list_member).where(_member.list_name == name))
        named = delete(update_list).where(update_list.c.name == name)
        return self._connection.execute(named).rowcount > 0

    def put_on(self, name: str, updates: Sequence[UUID]) -> int | None:
        if not self._is_there(name):
            return None
        update_rows.lock(self._connection, updates, against_removal=True)
        wanted = {one.bytes for one in updates}
        new = wanted.difference(*(self._there(name, part) for part in _parts(wanted)))
        rows = [{"list_name": name, "update_id": key} for key in sorted(new)]
        if rows:
            self._connection.execute(insert(update_list_member), rows)
        return len(rows)

    def take_off(self, name: str, updates: Sequence[UUID]) -> int | None:
        if not self._is_there(name):
            return None
        gone = 0
        for part in _parts({one.bytes for one in updates}):
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

    def searches(self, owners: Collection[str]) -> Sequence[SavedSearch]:
        return self._read(lambda c: saved_searches.of(c, owners))

    def lists(self, names: Collection[str] | None = None) -> Sequence[StoredList]:
        """A few lists at a time: all of them may have millions of rows, and a read few seconds."""
        if names is None:
            names = self._read(lambda c: list(c.execute(select(update_list.c.name)).scalars()))
        known: dict[bytes, UUID] = {}
        parts = list(_parts(names, LISTS))
        return [x for some in parts for x in self._read(partial(_lists, names=some, known=known))]

    def held(self, updates: Collection[UUID]) -> Collection[UUID]:
        return self._read(lambda c: _held(c, updates))


def _lists(
    connection: Connection, *, names: Collection[str], known: dict[bytes, UUID]
) -> Sequence[StoredList]:
    """`known` holds what was read before: an update that is on many lists is one object."""
    on: dict[str, list[UUID]] = {}
    members = select(_member.list_name, _member.update_id).where(_member.list_name.in_(names))
    for name, key in connection.execute(members):
        update_id = known.get(key)
        if update_id is None:
            update_id = known[key] = UUID(bytes=key)
        on.setdefault(name, []).append(update_id)
    named = update_list.c.name.in_(names)
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
    for part in _parts({one.bytes for one in updates}):
        found = select(_member.update_id).where(_member.update_id.in_(part)).distinct()
        held.update(UUID(bytes=key) for key in connection.execute(found).scalars())
    return held


def _parts(keys: Collection[K], size: int = PART) -> Iterator[list[K]]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
