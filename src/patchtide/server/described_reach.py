"""What is said of machines can bring them into a collection, or out of it, where rights end."""

from __future__ import annotations

from collections.abc import Sequence

from pyroaring import BitMap

from patchtide.domain.access.principals import Principal
from patchtide.domain.access.rights import AT
from patchtide.domain.catalog.queries import Condition, Mentions, conditions, found
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_tests import Fits
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.compliance.described import Described
from patchtide.domain.compliance.machine_query import MACHINE_FIELDS
from patchtide.server.collection_asks import held
from patchtide.server.collection_reach import check_who_decides, holder_within
from patchtide.server.machine_index import SAID, grouped
from patchtide.server.ports.decisions import Transaction

Pairs = Sequence[tuple[Described, Described]]
"""Of each machine what was said before, and what is said now."""


def check_who_describes(tx: Transaction, principal: Principal, pairs: Pairs) -> str:
    """Let only who administers accounts say what a collection asks for where rights end.

    Return the name of one that this may move machines into, or out of; empty: of none.

    It is asked of each condition by itself: one that holds otherwise than before may move the
    machine, whatever the others say. That refuses rather too much than too little.

    Raises:
        Refused: people or their programs have rights within such a collection.
    """
    if not pairs or not _ends_anywhere(tx):
        return ""
    known, said = held(tx), _Said(pairs)
    moved = [key for key, one in known.items() if _asks_otherwise(one.definition.query, said)]
    if not moved or (found := holder_within(tx, known, moved)) is None:
        return ""
    check_who_decides(tx, principal, known, moved)
    return found[1]


def _ends_anywhere(tx: Transaction) -> bool:
    grants = [one.rights for one in tx.lock_users()]
    grants += [one.rights for one in tx.lock_api_tokens()]
    return any(AT in text for some in grants for text in some)


class _Said:
    """Machines as they were described and, with numbers that follow, as they are now."""

    def __init__(self, pairs: Pairs) -> None:
        self.count = len(pairs)
        self.rows = BitMap(range(2 * self.count))
        self._all = [*(was for was, _ in pairs), *(now for _, now in pairs)]

    def where(self, place: str, fits: Fits, /) -> BitMap:
        read = SAID[place]
        return grouped((n, read(one)) for n, one in enumerate(self._all)).where(fits)

    def mentioning(self, text: str, /) -> BitMap:
        texts = (f"{one.owner}\n{one.location}".casefold() for one in self._all)
        return BitMap([n for n, said in enumerate(texts) if text in said])

    def is_otherwise(self, one: Condition) -> bool:
        if not isinstance(one, Mentions) and one.place not in SAID:
            return False
        rows = found(one, fields=MACHINE_FIELDS, ground=self)
        was = rows & BitMap(range(self.count))
        return rows - was != BitMap([n + self.count for n in was])


def _asks_otherwise(query: str, said: _Said) -> bool:
    if not query:
        return False
    try:
        parsed = parse_query(query, MACHINE_FIELDS)
    except InvalidQuery:
        return False  # nobody is in it by a query that is not understood any more
    return any(said.is_otherwise(one) for one in conditions(parsed))
