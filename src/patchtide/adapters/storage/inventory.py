"""Inventory: bodies named by their digest, apart from states; each client refers to a body."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from patchtide.adapters.storage.tables import client_inventory, inventory_blob


def put(
    connection: Connection, client: int, *, kind: str, digest: bytes, body: bytes, now: float
) -> None:
    """Keep the body once, however many clients have it; bodies nobody has are trimmed later."""
    blob = _insert(connection, inventory_blob).values(digest=digest, body=body, at=now)
    connection.execute(blob.on_conflict_do_nothing())
    held = _insert(connection, client_inventory)
    values = {"digest": digest, "at": now}
    connection.execute(
        held.values(client=client, kind=kind, **values).on_conflict_do_update(
            index_elements=["client", "kind"], set_=values
        )
    )


def _insert(connection: Connection, table: Any) -> Any:
    """The same words, but each database has its own `ON CONFLICT`."""
    on_sqlite = connection.dialect.name == "sqlite"
    return sqlite.insert(table) if on_sqlite else postgresql.insert(table)
