"""The history of facts as it is kept: what changed, and which changes are to be worked out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from patchtide.adapters.storage import fleet
from patchtide.adapters.storage.fact_tables import changed_inventory, fact_change
from patchtide.adapters.storage.tables import client_inventory
from patchtide.adapters.storage.update_lists import Read
from patchtide.server.ports.fact_history import ChangedInventory, KeptChange

FOLLOWED = frozenset({"packages", "hardware"})
"""Kinds of lists; what rules asked for changes with the rules."""
Write = Callable[[Callable[[Connection], None]], Awaitable[None]]
_changed, _kept, _held = changed_inventory.c, fact_change.c, client_inventory.c


def note(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Note which of these lists, as they are about to be told, are others than before.

    Of a client's first list nothing is noted. Who tells it needs no right to read what he notes.
    """
    told = [
        {"of": row["client"], "what": row["kind"], "new": row["digest"], "told_at": row["at"]}
        for row in rows
        if row["kind"] in FOLLOWED
    ]
    if told:
        connection.execute(_NOTE_ON[connection.dialect.name], told)


def _noting(dialect: Any) -> Any:
    was = select(
        _held.client,
        _held.kind,
        bindparam("told_at", type_=_changed.at.type),
        _held.digest,
        bindparam("new", type_=_changed.now.type),
    ).where(
        _held.client == bindparam("of"),
        _held.kind == bindparam("what"),
        _held.digest != bindparam("new", type_=_changed.now.type),
        _held.at <= bindparam("told_at", type_=_changed.at.type),
    )
    row = dialect.insert(changed_inventory)
    return row.from_select(list(changed_inventory.c.keys()), was).on_conflict_do_nothing()


_INSERT_ON: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_NOTE_ON = {"sqlite": _noting(sqlite), "postgresql": _noting(postgresql)}


class FactHistoryRows:
    """The FactHistory port."""

    def __init__(self, read: Read, write: Write) -> None:
        self._read = read
        self._write = write

    def changed(self, *, client: int | None = None, limit: int) -> Sequence[ChangedInventory]:
        found = select(changed_inventory).order_by(_changed.client, _changed.kind, _changed.at)
        if client is not None:
            found = found.where(_changed.client == client)
        return self._read(
            lambda c: [ChangedInventory(**row._mapping) for row in c.execute(found.limit(limit))]
        )

    def kept(self, client: int) -> Sequence[KeptChange]:
        found = select(fact_change).where(_kept.client == client).order_by(_kept.at.desc())
        return self._read(lambda c: [KeptChange(**row._mapping) for row in c.execute(found)])

    def bodies(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return self._read(lambda c: fleet.inventory_bodies(c, digests))

    async def keep(
        self, done: Sequence[ChangedInventory], told: Sequence[KeptChange], *, most: int
    ) -> None:
        await self._write(lambda c: _keep(c, done, told, most))


def _keep(
    connection: Connection,
    done: Sequence[ChangedInventory],
    told: Sequence[KeptChange],
    most: int,
) -> None:
    keys = tuple_(_changed.client, _changed.kind, _changed.at)
    those = [(one.client, one.kind, one.at) for one in done]
    connection.execute(delete(changed_inventory).where(keys.in_(those)))
    if not told:
        return
    # Another node may have done the same meanwhile.
    row = _INSERT_ON[connection.dialect.name](fact_change).on_conflict_do_nothing()
    connection.execute(row, [asdict(one) for one in told])
    place = func.row_number().over(
        partition_by=(_kept.client, _kept.kind), order_by=_kept.at.desc()
    )
    ranked = (
        select(_kept.client, _kept.kind, _kept.at, place.label("place"))
        .where(_kept.client.in_({one.client for one in told}))
        .subquery()
    )
    beyond = select(ranked.c.client, ranked.c.kind, ranked.c.at).where(ranked.c.place > most)
    connection.execute(
        delete(fact_change).where(tuple_(_kept.client, _kept.kind, _kept.at).in_(beyond))
    )
