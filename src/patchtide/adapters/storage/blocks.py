"""Numbers in blocks: client numbers by site, update numbers by the site that names updates.

A block belongs to one holder for ever, so sites' numbers never overlap. What is taken is durable
with the decision that took it; what a holder skips at the end of a block is never given out.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, insert, select, update

from patchtide.adapters.storage import ticket
from patchtide.adapters.storage.tables import Number, number_block
from patchtide.domain.errors import TooMuch

CLIENTS, UPDATES = "client", "update"
SIZE = 65_536
_TICKETS = {CLIENTS: ticket.CLIENTS, UPDATES: ticket.UPDATES}

_MINE = (number_block.c.kind == bindparam("of")) & (number_block.c.holder == bindparam("for_whom"))
_COUNT = bindparam("count", type_=Number)
# Looking and taking are one statement, so two nodes cannot take the same numbers.
_TAKE = (
    update(number_block)
    .where(
        _MINE,
        number_block.c.first
        == select(func.max(number_block.c.first)).where(_MINE).scalar_subquery(),
        number_block.c.used + _COUNT <= SIZE,
    )
    .values(used=number_block.c.used + _COUNT)
    .returning(number_block.c.first + number_block.c.used)
)


def take(connection: Connection, count: int, *, kind: str, holder: str) -> int:
    """Return the first of `count` numbers in a row that nobody had before.

    Raises:
        TooMuch: more than a block holds.
    """
    if not 0 < count < SIZE:
        raise TooMuch(f"at most {SIZE - 1} numbers at once")
    asked = {"of": kind, "for_whom": holder, "count": count}
    taken = connection.execute(_TAKE, asked).scalar()
    if taken is None:
        return _from_new_block(connection, count, kind, holder)
    return int(taken) - count


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
    # Blocks begun before the backup too: in the time that was lost, more was taken from them.
    connection.execute(update(number_block).where(number_block.c.kind == UPDATES).values(used=SIZE))
    ticket.raise_to(connection, blocks, of=ticket.UPDATES)
