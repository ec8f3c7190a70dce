"""Saved searches: those of everybody in one table, each person's own in another."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from patchtide.adapters.storage.catalog_tables import own_update_search, update_search
from patchtide.adapters.storage.rows import instant
from patchtide.server.ports.update_lists import EVERYBODY, SavedSearch


def of(connection: Connection, owners: Collection[str], *, name: str = "") -> list[SavedSearch]:
    """Return what these have saved, or of that only what has this name; sorted by names."""
    shared, own = select(update_search), select(own_update_search)
    own = own.where(own_update_search.c.owner.in_(sorted(set(owners) - {EVERYBODY})))
    if name:
        shared = shared.where(update_search.c.name == name)
        own = own.where(own_update_search.c.name == name)
    found = [_shared(row) for row in connection.execute(shared)] if EVERYBODY in owners else []
    found += [_own(row) for row in connection.execute(own)]
    return sorted(found, key=lambda one: (one.name, one.owner))


def having(connection: Connection, text: str) -> list[SavedSearch]:
    """Return all, whoever saved them, whose query has this text somewhere; sorted by names."""
    shared = select(update_search).where(update_search.c.query.contains(text, autoescape=True))
    own = select(own_update_search)
    own = own.where(own_update_search.c.query.contains(text, autoescape=True))
    found = [_shared(row) for row in connection.execute(shared)]
    found += [_own(row) for row in connection.execute(own)]
    return sorted(found, key=lambda one: (one.name, one.owner))


def count(connection: Connection, owner: str) -> int:
    counted = select(func.count())
    if owner == EVERYBODY:
        return connection.execute(counted.select_from(update_search)).scalar_one()
    return connection.execute(counted.where(own_update_search.c.owner == owner)).scalar_one()


def put(connection: Connection, search: SavedSearch) -> None:
    row = {"name": search.name, "query": search.query}
    row_at = {**row, "at": search.at.timestamp()}
    if search.owner == EVERYBODY:
        connection.execute(insert(update_search).values({**row_at, "saved_by": search.by}))
    else:
        connection.execute(insert(own_update_search).values({**row_at, "owner": search.owner}))


def drop(connection: Connection, name: str, *, owner: str) -> bool:
    if owner == EVERYBODY:
        gone = delete(update_search).where(update_search.c.name == name)
    else:
        mine = own_update_search.c.owner == owner
        gone = delete(own_update_search).where(mine, own_update_search.c.name == name)
    return connection.execute(gone).rowcount > 0


def _shared(row: Any) -> SavedSearch:
    return SavedSearch(name=row.name, query=row.query, by=row.saved_by, at=instant(row.at))


def _own(row: Any) -> SavedSearch:
    return SavedSearch(
        name=row.name, query=row.query, owner=row.owner, by=row.owner, at=instant(row.at)
    )
