"""Collections as they are defined; who is in one is worked out elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from pyroaring import BitMap
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from patchtide.adapters.storage.collection_tables import (
    collection,
    collection_member,
    collection_reference,
)
from patchtide.adapters.storage.rows import instant
from patchtide.adapters.storage.update_lists import Read
from patchtide.domain.collections.definitions import Definition
from patchtide.domain.errors import StaleRevision
from patchtide.server.ports.collections import StoredCollection

K = TypeVar("K")
PART = 500
"""Both databases bound how many values a statement may have."""
COLLECTIONS = 8
"""Collections whose machines are read at once; each may name many."""
INCLUDE, EXCLUDE = "include", "exclude"
_member, _reference = collection_member.c, collection_reference.c


class CollectionWrites:
    """The CollectionWriting port over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def hold(self) -> Sequence[StoredCollection]:
        # Locked where rows can be; what others made meanwhile, nobody could speak of yet.
        held = select(collection).order_by(collection.c.uuid).with_for_update()
        rows = self._connection.execute(held).all()
        return _stored(rows, _referred(self._connection), {})

    def add(self, made: StoredCollection) -> None:
        try:
            self._connection.execute(insert(collection).values(uuid=made.id.bytes, **_row(made)))
        except IntegrityError as error:
            raise StaleRevision from error
        self._refer(made.definition)

    def change(self, changed: StoredCollection) -> None:
        this = update(collection).where(collection.c.uuid == changed.id.bytes)
        try:
            self._connection.execute(this.values(**_row(changed)))
        except IntegrityError as error:
            raise StaleRevision from error
        self._refer(changed.definition)

    def drop(self, key: UUID) -> None:
        for column in (_member.collection, _reference.collection, collection.c.uuid):
            self._connection.execute(delete(column.table).where(column == key.bytes))

    def size(self, key: UUID) -> int:
        named = select(func.count()).where(_member.collection == key.bytes)
        return self._connection.execute(named).scalar_one()

    def named(self, key: UUID) -> Sequence[int]:
        found = select(_member.client).where(_member.collection == key.bytes)
        return self._connection.execute(found.order_by(_member.client)).scalars().all()

    def put_in(self, key: UUID, clients: Sequence[int]) -> Sequence[int]:
        there = self._there(key, clients)
        new = sorted(set(clients) - there)
        if new:
            rows = [{"collection": key.bytes, "client": number} for number in new]
            self._connection.execute(insert(collection_member), rows)
        return new

    def take_out(self, key: UUID, clients: Sequence[int]) -> Sequence[int]:
        there = sorted(self._there(key, clients))
        for part in _parts(there, PART):
            found = _member.collection == key.bytes, _member.client.in_(part)
            self._connection.execute(delete(collection_member).where(*found))
        return there

    def _there(self, key: UUID, clients: Sequence[int]) -> set[int]:
        parts = (
            select(_member.client).where(_member.collection == key.bytes, _member.client.in_(part))
            for part in _parts(clients, PART)
        )
        return {n for part in parts for n in self._connection.execute(part).scalars()}

    def _refer(self, one: Definition) -> None:
        gone = delete(collection_reference).where(_reference.collection == one.id.bytes)
        self._connection.execute(gone)
        rows = [
            {"collection": one.id.bytes, "how": how, "place": place, "other": other.bytes}
            for how, others in ((INCLUDE, one.include), (EXCLUDE, one.exclude))
            for place, other in enumerate(others)
        ]
        if rows:
            self._connection.execute(insert(collection_reference), rows)


class CollectionReads:
    """The CollectionReading port."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def all(self, some: Collection[UUID] | None = None) -> Sequence[StoredCollection]:
        """A few at a time: all of them may name millions of machines, and a read few seconds."""
        keys = None if some is None else [key.bytes for key in some]
        rows, referred = self._read(lambda c: (_rows(c, keys), _referred(c)))
        direct: dict[bytes, BitMap] = {}
        for part in _parts([row.uuid for row in rows], COLLECTIONS):
            direct.update(self._read(partial(_direct, keys=part)))
        return _stored(rows, referred, direct)


_Referred = Mapping[tuple[bytes, str], Sequence[UUID]]


def _rows(connection: Connection, keys: Sequence[bytes] | None) -> Sequence[Any]:
    found = select(collection).order_by(collection.c.uuid)
    if keys is None:
        return connection.execute(found).all()
    parts = (found.where(collection.c.uuid.in_(part)) for part in _parts(keys, PART))
    return [row for part in parts for row in connection.execute(part)]


def _referred(connection: Connection) -> _Referred:
    """Return what all collections include and exclude: they are few, and small."""
    found: dict[tuple[bytes, str], list[UUID]] = {}
    ordered = select(collection_reference).order_by(_reference.place)
    for row in connection.execute(ordered):
        found.setdefault((row.collection, row.how), []).append(UUID(bytes=row.other))
    return found


def _direct(connection: Connection, *, keys: Sequence[bytes]) -> Mapping[bytes, BitMap]:
    found: dict[bytes, list[int]] = {}
    members = select(_member.collection, _member.client).where(_member.collection.in_(keys))
    for key, client in connection.execute(members):
        found.setdefault(key, []).append(client)
    return {key: BitMap(clients) for key, clients in found.items()}


def _stored(
    rows: Sequence[Any], referred: _Referred, direct: Mapping[bytes, BitMap]
) -> list[StoredCollection]:
    return [
        StoredCollection(
            definition=Definition(
                id=UUID(bytes=row.uuid),
                name=row.name,
                limiting=UUID(bytes=row.limiting),
                include=tuple(referred.get((row.uuid, INCLUDE), ())),
                exclude=tuple(referred.get((row.uuid, EXCLUDE), ())),
                query=row.query,
                direct=direct.get(row.uuid, BitMap()),
            ),
            description=row.description,
            is_tier_zero=row.tier_zero,
            revision=row.revision,
            by=row.changed_by,
            at=instant(row.changed_at),
        )
        for row in rows
    ]


def _row(one: StoredCollection) -> dict[str, object]:
    return {
        "name": one.name,
        "folded": one.name.casefold(),
        "description": one.description,
        "limiting": one.definition.limiting.bytes,
        "query": one.definition.query,
        "tier_zero": one.is_tier_zero,
        "revision": one.revision,
        "changed_by": one.by,
        "changed_at": one.at.timestamp(),
    }


def _parts(values: Sequence[K], size: int) -> Iterator[list[K]]:
    for start in range(0, len(values), size):
        yield list(values[start : start + size])
