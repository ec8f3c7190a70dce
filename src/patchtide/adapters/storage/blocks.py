"""Numbers in blocks: client numbers by site, update numbers by the site that names updates.

A block belongs to one holder for ever, so sites' numbers never overlap. What is taken is durable
with the decision that took it; what a holder skips at the end of a block is never given out.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, func, insert, select, update

from patchtide.adapters.storage import ticket
from patchtide.adapters.storage.tables import Number, number_block
from patchtide.domain.errors import TooMuch, WrongState

CLIENTS, UPDATES = "client", "update"
SIZE = 65_536
BELOW, ABOVE = "below:", "above"
"""Holders that are other sites: of what was granted, and of what the lineage's others have."""
_ALL = 65_536
"""So many blocks there are, of 32 bits."""
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


def grant(connection: Connection, *, kind: str, holder: str) -> int:
    """Give a whole block to a site below, for ever, and return where it begins."""
    first = _drawn(connection, kind) * SIZE
    # All of it counts as given out here: the site takes from it, and this one never does.
    values = {"kind": kind, "first": first, "holder": f"{BELOW}{holder}", "used": SIZE}
    connection.execute(insert(number_block).values(values))
    return first


def receive(connection: Connection, *, kind: str, first: int, holder: str) -> None:
    """Take a block that the site above has granted; from now on numbers come from such alone.

    Raises:
        WrongState: it is here already, or this site has given out numbers by itself.
    """
    _mark_below(connection, kind)
    _add(connection, kind, first, holder, used=1 if first == 0 else 0)


def know(connection: Connection, numbers: Iterable[int]) -> None:
    """Note that update numbers of these blocks are given out above."""
    firsts = {number - number % SIZE for number in numbers}
    named = (number_block.c.kind == UPDATES) & number_block.c.first.in_(firsts)
    here = set(connection.execute(select(number_block.c.first).where(named)).scalars())
    for first in sorted(firsts - here):
        _add(connection, UPDATES, first, ABOVE, used=SIZE)


def _drawn(connection: Connection, kind: str) -> int:
    place = ticket.draw(connection, 1, of=_TICKETS[kind]) - 1
    if place >= _ALL:
        raise TooMuch("no numbers are left of the blocks that the site above has granted")
    return place


def _mark_below(connection: Connection, kind: str) -> None:
    if 0 < ticket.drawn(connection, of=_TICKETS[kind]) < _ALL:
        raise WrongState("this site has given out numbers of its own; it keeps them for ever")
    # Tickets count in whole blocks: no number of 32 bits lies in one that this still gives out.
    ticket.raise_to(connection, _ALL, of=_TICKETS[kind])


def _add(connection: Connection, kind: str, first: int, holder: str, *, used: int) -> None:
    known = select(number_block.c.first).where(
        number_block.c.kind == kind, number_block.c.first == first
    )
    if connection.execute(known).first() is not None:
        raise WrongState(f"the block of numbers from {first} is here already")
    connection.execute(
        insert(number_block).values(kind=kind, first=first, holder=holder, used=used)
    )


def _from_new_block(connection: Connection, count: int, kind: str, holder: str) -> int:
    place = _drawn(connection, kind)
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
