"""Inventory: bodies named by their digest, apart from states; each client refers to a body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from patchtide.adapters.storage import fact_history, ticket
from patchtide.adapters.storage.tables import client_inventory, inventory_blob
from patchtide.server.ports.reports import HeldInventory


def put(
    connection: Connection, client: int, *, kind: str, digest: bytes, body: bytes, now: float
) -> None:
    """Keep the body once, however many clients have it; bodies nobody has are trimmed later."""
    blob = _insert(connection, inventory_blob).values(digest=digest, body=body, at=now)
    # To name the column that conflicts would need the right to read it, which agents lack.
    connection.execute(blob.on_conflict_do_nothing())
    _refer(connection, [{"client": client, "kind": kind, "digest": digest, "at": now}], late=False)


def hold(connection: Connection, held: Sequence[HeldInventory]) -> frozenset[bytes]:
    """Note who has which body; return the digests whose body is gone."""
    named = {h.digest for h in held}
    found = select(inventory_blob.c.digest).where(inventory_blob.c.digest.in_(named))
    there = set(connection.execute(found).scalars())
    _refer(
        connection,
        [
            {"client": h.client, "kind": h.kind, "digest": h.digest, "at": h.at}
            for h in held
            if h.digest in there
        ],
        late=True,
    )
    return frozenset(named - there)


def _refer(connection: Connection, rows: Sequence[dict[str, Any]], *, late: bool) -> None:
    if not rows:
        return
    fact_history.note(connection, rows)
    statement = _insert(connection, client_inventory)
    given = statement.excluded
    new = {"digest": given.digest, "at": given.at, "change": given.change}
    change = ticket.draw(connection, 1)
    # References wait for their batch: meanwhile the same machine may have sent a newer list.
    newer = client_inventory.c.at <= statement.excluded.at if late else None
    connection.execute(
        statement.on_conflict_do_update(index_elements=["client", "kind"], set_=new, where=newer),
        [{**row, "change": change} for row in rows],
    )


def _insert(connection: Connection, table: Any) -> Any:
    """The same words, but each database has its own `ON CONFLICT`."""
    on_sqlite = connection.dialect.name == "sqlite"
    return sqlite.insert(table) if on_sqlite else postgresql.insert(table)
