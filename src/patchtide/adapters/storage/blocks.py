"""Numbers in blocks: client numbers by site, update numbers by the site that names updates.

A block belongs to one holder for ever, so sites' numbers never overlap. What is taken is durable
with the decision that took it; what a holder skips at the end of a block is never given out.
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from patchtide.adapters.storage import ticket
from patchtide.adapters.storage.tables import number_block
from patchtide.domain.errors import TooMuch

CLIENTS, UPDATES = "client", "update"
SIZE = 65_536
_TICKETS = {CLIENTS: ticket.CLIENTS, UPDATES: ticket.UPDATES}


def take(connection: Connection, count: int, *, kind: str, holder: str) -> int:
    """Return the first of `count` numbers in a row that nobody had before.

    Raises:
        TooMuch: more than a block holds.
    """
    if not 0 < count < SIZE:
        raise TooMuch(f"at most {SIZE - 1} numbers at once")
    own = (number_block.c.kind == kind) & (number_block.c.holder == holder)
    newest = (
        select(number_block.c.first, number_block.c.used)
        .where(own)
        .order_by(number_block.c.first.desc())
        .limit(1)
        .with_for_update()
    )
    block = connection.execute(newest).first()
    if block is None or block.used + count > SIZE:
        return _from_new_block(connection, count, kind, holder)
    connection.execute(
        update(number_block)
        .where(number_block.c.kind == kind, number_block.c.first == block.first)
        .values(used=block.used + count)
    )
    return int(block.first + block.used)


def _from_new_block(connection: Connection, count: int, kind: str, holder: str) -> int:
    place = ticket.draw(connection, 1, of=_TICKETS[kind]) - 1
    first = place * SIZE
    skipped = 1 if place == 0 else 0  # zero is no number: listings go on after one
    connection.execute(
        insert(number_block).values(kind=kind, first=first, holder=holder, used=skipped + count)
    )
    return first + skipped


def skip_past(connection: Connection, highest: int) -> None:
    """Never give out update numbers up to this one again: they are published already."""
    blocks = highest // SIZE + 1
    connection.execute(update(number_block).where(number_block.c.kind == UPDATES).values(used=SIZE))
    ticket.raise_to(connection, blocks, of=ticket.UPDATES)
