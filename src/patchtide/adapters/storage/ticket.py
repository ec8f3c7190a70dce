"""Change numbers: gapless and in the order of commits, on both databases.

The ticket is drawn when all other work of a transaction is done; its row lock is then held only
while the numbered rows are written in one batch and committed (docs/adr/0016).
"""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, insert, select, update

from patchtide.adapters.storage.tables import ticket
from patchtide.server.ports.following import Cursor

CHANGES, CLIENTS, UPDATES = 1, 2, 3


def draw(connection: Connection, count: int, *, of: int = CHANGES) -> int:
    """Return the first of `count` fresh numbers."""
    # The row stays locked until the commit: nobody can draw a later number and commit before us,
    # and a rollback gives the number back. A sequence would promise neither.
    drawn = connection.execute(
        update(ticket).where(ticket.c.id == of).values(n=ticket.c.n + count).returning(ticket.c.n)
    ).scalar_one()
    return int(drawn) - count + 1


def drawn(connection: Connection, *, of: int) -> int:
    """Return the last number that was drawn; 0: none was."""
    return int(connection.execute(select(ticket.c.n).where(ticket.c.id == of)).scalar_one())


def raise_to(connection: Connection, n: int, *, of: int) -> None:
    # Only ever upwards: a ticket that fell would give numbers out twice.
    connection.execute(update(ticket).where(ticket.c.id == of, ticket.c.n < n).values(n=n))


def position(connection: Connection) -> Cursor:
    row = connection.execute(select(ticket.c.epoch, ticket.c.n).where(ticket.c.id == CHANGES)).one()
    return Cursor(epoch=row.epoch, n=row.n)


def start_epoch(connection: Connection) -> str:
    """Begin a new epoch: after a restore or a failover no old cursor means anything."""
    epoch = secrets.token_hex(16)
    connection.execute(update(ticket).values(epoch=epoch))
    return epoch


def ensure(connection: Connection) -> None:
    """Make the tickets of a new database."""
    if connection.execute(select(ticket.c.id)).first() is None:
        epoch = secrets.token_hex(16)
        rows = [{"id": of, "epoch": epoch, "n": 0} for of in (CHANGES, CLIENTS, UPDATES)]
        connection.execute(insert(ticket), rows)
