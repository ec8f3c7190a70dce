"""The catalog's rows: every revision of a leaf with the serial it entered and the one it left.

A reader asks for the shard as it was at a serial, so what is put in for the next serial shows to
nobody until that serial is in force, however many transactions it takes. What a newer revision
replaced is removed later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from patchtide.adapters.storage import blocks, rows
from patchtide.adapters.storage.catalog_tables import catalog_leaf, catalog_number, synchronisation
from patchtide.adapters.storage.tables import number_block
from patchtide.server.ports.catalog import NumberHolder, StoredLeaf

PART = 500
"""Both databases bound how many values a statement may have."""
_later = catalog_leaf.alias("later")


def _live(at: int) -> ColumnElement[bool]:
    gone = catalog_leaf.c.dropped_serial
    return and_(catalog_leaf.c.entered_serial <= at, or_(gone.is_(None), gone > at))


def leaves(connection: Connection, shard: str, *, at: int, after: int) -> Sequence[StoredLeaf]:
    found = (
        select(catalog_leaf)
        .where(catalog_leaf.c.shard == shard, catalog_leaf.c.entered_serial > after, _live(at))
        .order_by(catalog_leaf.c.number)
    )
    return [rows.leaf_of(row) for row in connection.execute(found)]


def drops(connection: Connection, shard: str, *, at: int, after: int) -> Sequence[int]:
    back = exists().where(
        _later.c.shard == shard,
        _later.c.number == catalog_leaf.c.number,
        _later.c.entered_serial <= at,
        or_(_later.c.dropped_serial.is_(None), _later.c.dropped_serial > at),
    )
    found = (
        select(catalog_leaf.c.number)
        .distinct()
        .where(
            catalog_leaf.c.shard == shard,
            catalog_leaf.c.dropped_serial > after,
            catalog_leaf.c.dropped_serial <= at,
            ~back,
        )
    )
    return sorted(connection.execute(found).scalars())


def left(connection: Connection, shard: str, updates: Sequence[bytes]) -> Sequence[StoredLeaf]:
    """Return the last revision of each leaf of these updates that has left the shard."""
    found: list[StoredLeaf] = []
    later = exists().where(
        _later.c.shard == shard,
        _later.c.number == catalog_leaf.c.number,
        _later.c.entered_serial > catalog_leaf.c.entered_serial,
    )
    for start in range(0, len(updates), PART):
        part = select(catalog_leaf).where(
            catalog_leaf.c.shard == shard,
            catalog_leaf.c.update_id.in_(updates[start : start + PART]),
            catalog_leaf.c.dropped_serial.is_not(None),
            ~later,
        )
        found += [rows.leaf_of(row) for row in connection.execute(part)]
    return found


def shards(connection: Connection) -> Sequence[str]:
    return sorted(connection.execute(select(catalog_leaf.c.shard).distinct()).scalars())


def revisions(connection: Connection, shard: str, numbers: Sequence[int]) -> dict[int, int]:
    """Return the highest revision of each number that the shard holds or held."""
    found: dict[int, int] = {}
    for part in _parts(numbers):
        highest = (
            select(catalog_leaf.c.number, func.max(catalog_leaf.c.revision))
            .where(catalog_leaf.c.shard == shard, catalog_leaf.c.number.in_(part))
            .group_by(catalog_leaf.c.number)
        )
        found.update((int(number), int(top)) for number, top in connection.execute(highest))
    return found


def put(
    connection: Connection,
    shard: str,
    serial: int,
    *,
    upserts: Sequence[StoredLeaf],
    drops: Sequence[int],
) -> None:
    for part in _parts([*drops, *(leaf.number for leaf in upserts)]):
        connection.execute(
            update(catalog_leaf)
            .where(
                catalog_leaf.c.shard == shard,
                catalog_leaf.c.number.in_(part),
                catalog_leaf.c.dropped_serial.is_(None),
            )
            .values(dropped_serial=serial)
        )
    if upserts:
        connection.execute(insert(catalog_leaf), [_row(shard, serial, leaf) for leaf in upserts])


def take_back(connection: Connection, shard: str, serial: int, *, limit: int) -> int:
    """Undo a part of what was put in for that serial; return how many rows, 0: none is left."""
    entered = catalog_leaf.c.entered_serial >= serial
    removed = _remove_some(connection, shard, entered, limit=limit)
    if removed:
        return removed
    left = and_(catalog_leaf.c.shard == shard, catalog_leaf.c.dropped_serial >= serial)
    some = select(catalog_leaf.c.number).where(left).distinct().limit(limit)
    numbers = list(connection.execute(some).scalars())
    for part in _parts(numbers):
        connection.execute(
            update(catalog_leaf)
            .where(left, catalog_leaf.c.number.in_(part))
            .values(dropped_serial=None)
        )
    return len(numbers)


def forget_replaced(connection: Connection, shard: str, *, before: int, limit: int) -> int:
    """Remove a part of what newer revisions replaced before that serial; return how many rows."""
    replaced = exists().where(
        _later.c.shard == shard,
        _later.c.number == catalog_leaf.c.number,
        _later.c.entered_serial >= catalog_leaf.c.dropped_serial,
        # What is not in force yet may be taken back, and then replaces nothing.
        _later.c.entered_serial < before,
    )
    old = and_(catalog_leaf.c.dropped_serial < before, replaced)
    return _remove_some(connection, shard, old, limit=limit)


def _remove_some(
    connection: Connection, shard: str, which: ColumnElement[bool], *, limit: int
) -> int:
    key = (catalog_leaf.c.number, catalog_leaf.c.entered_serial)
    of_shard = catalog_leaf.c.shard == shard
    some = select(*key).where(of_shard, which).limit(limit)
    found = [tuple(row) for row in connection.execute(some)]
    if found:
        connection.execute(delete(catalog_leaf).where(of_shard, tuple_(*key).in_(found)))
    return len(found)


def unallotted(connection: Connection, numbers: Sequence[int]) -> Sequence[int]:
    """Return those of the numbers that no block has given out."""
    firsts = {number - number % blocks.SIZE for number in numbers}
    found = select(number_block.c.first, number_block.c.used).where(
        number_block.c.kind == blocks.UPDATES, number_block.c.first.in_(firsts)
    )
    used = {row.first: row.used for row in connection.execute(found)}
    return [n for n in numbers if n % blocks.SIZE >= used.get(n - n % blocks.SIZE, 0)]


def hold_numbers(
    connection: Connection, wanted: Mapping[int, bytes], *, role: str
) -> Sequence[NumberHolder]:
    """Give the numbers to the role and their updates; return those that have another holder."""
    held: list[NumberHolder] = []
    # In one order for all, so that two who want the same wait for each other and not in a circle.
    for part in _parts(sorted(wanted)):
        new = [{"number": n, "role": role, "update_id": wanted[n]} for n in part]
        connection.execute(_insert_new(connection), new)
        found = select(catalog_number).where(catalog_number.c.number.in_(part))
        held += [
            NumberHolder(number=row.number, role=row.role, update=row.update_id)
            for row in connection.execute(found)
        ]
    return [x for x in held if (x.role, x.update) != (role, wanted[x.number])]


def put_synchronisation(connection: Connection, number: int, *, at: float, document: bytes) -> None:
    named = synchronisation.c.number == number
    values = {"at": at, "document": document}
    if connection.execute(update(synchronisation).where(named).values(values)).rowcount == 0:
        connection.execute(insert(synchronisation).values(number=number, **values))


def synchronisations(connection: Connection, *, before: int | None, limit: int) -> Sequence[bytes]:
    found = (
        select(synchronisation.c.document).order_by(synchronisation.c.number.desc()).limit(limit)
    )
    if before is not None:
        found = found.where(synchronisation.c.number < before)
    return list(connection.execute(found).scalars())


def _insert_new(connection: Connection) -> sqlite.Insert | postgresql.Insert:
    if connection.dialect.name == "sqlite":
        return sqlite.insert(catalog_number).on_conflict_do_nothing()
    return postgresql.insert(catalog_number).on_conflict_do_nothing()


def _parts(numbers: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(numbers), PART):
        yield list(numbers[start : start + PART])


def _row(shard: str, serial: int, leaf: StoredLeaf) -> dict[str, object]:
    return {
        "shard": shard,
        "number": leaf.number,
        "revision": leaf.revision,
        "update_id": leaf.update,
        "document": leaf.document,
        "entered_serial": serial,
        "dropped_serial": None,
    }
