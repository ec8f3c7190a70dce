"""What is said of machines can bring them into a collection, or out of it, where rights end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from datetime import datetime
from functools import lru_cache
from typing import Protocol
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.access.principals import Principal
from patchtide.domain.access.proofs import check_proof
from patchtide.domain.access.rights import AT
from patchtide.domain.catalog.queries import Condition, Mentions, conditions, found
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_tests import Fits
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.collections.definitions import made_of
from patchtide.domain.collections.facts import Column
from patchtide.domain.compliance.described import Described
from patchtide.domain.compliance.machine_query import MACHINE_FIELDS
from patchtide.server.calendar_book import frozen_by
from patchtide.server.collection_asks import asking, held
from patchtide.server.collection_reach import Known, check_who_decides, holder_within
from patchtide.server.context import Call
from patchtide.server.kept_agent_settings import OF_COLLECTIONS, read_order
from patchtide.server.machine_index import SAID, grouped
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.reading import Lookups
from patchtide.server.taking_over import said as said_of_updaters
from patchtide.server.taking_over import saying_where
from patchtide.server.tier_zero import check_marking, deciding_tier

_TEXTS = 4_000
"""More than a site has collections."""


class Redescribed:
    """What was said of machines, and what is said of them now, as queries ask for it.

    What was found of a query is kept: a file's parts are written one after the other, and whoever
    looked before the first of them has the others wait for nothing but queries that are new.
    """

    def __init__(self, pairs: Iterable[tuple[Described, Described]]) -> None:
        different = dict.fromkeys(pairs)
        self.count = len(different)
        self.left = frozenset(
            was.schedule for was, now in different if was.schedule != now.schedule
        )
        """The collections that are somebody's schedule no more."""
        self._was = _Ground([was for was, _ in different])
        self._now = _Ground([now for _, now in different])
        self._known: dict[str, bool] = {}

    def may_move(self, query: str) -> bool:
        """Say whether a condition of it holds otherwise than before, whatever the others say.

        That is so rather too often than too seldom.
        """
        if query not in self._known:
            self._known[query] = any(self._is_otherwise(one) for one in _asked(query))
        return self._known[query]

    def _is_otherwise(self, one: Condition) -> bool:
        was, now = (found(one, fields=MACHINE_FIELDS, ground=g) for g in (self._was, self._now))
        return was != now


def check_who_describes(tx: Transaction, principal: Principal, said: Redescribed) -> str:
    """Let only who administers accounts say what a collection asks for where rights end; and what
    one of tier 0 asks for, only who may target that.

    Return the name of one that this may move machines into, or out of; empty: of none.

    Raises:
        Refused: people or their programs have rights within such a collection, or it is of tier 0.
    """
    if not said.count:
        return ""
    known = held(tx)
    zero = [one for one in _all(known, deciding_tier(known)) if _moves(said, one)]
    if zero:
        check_marking(principal)
    places = _places(tx.lock_users(), tx.lock_api_tokens())
    moved = [one.id for one in deciding(known, places) if _moves(said, one)]
    if not moved or (within := holder_within(tx, known, moved)) is None:
        return zero[0].name if zero else ""
    check_who_decides(tx, principal, known, moved)
    return within[1]


def check_held_back(
    tx: Transaction, principal: Principal, said: Redescribed, *, now: datetime
) -> bool:
    """Say whether this may move machines to where their other updaters are held back, or are not.

    Raises:
        SignInAgain: it may, and she must prove anew who she is.
    """
    updaters = said_of_updaters(tx)
    if not updaters.holders or not moves_any(tx, said, saying_where(updaters.order)):
        return False
    check_proof(principal, now=now, only_people=False)
    return True


def moves_any(tx: Transaction, said: Redescribed, collections: Iterable[UUID]) -> bool:
    """Say whether this may move machines into one of these collections, or out of it."""
    places = frozenset(map(str, collections))
    return bool(said.count and places) and any(
        _moves(said, one) for one in deciding(held(tx), places)
    )


def _moves(said: Redescribed, one: StoredCollection) -> bool:
    return said.may_move(one.definition.query)


def _all(known: Known, keys: Iterable[UUID]) -> Iterator[StoredCollection]:
    return (known[key] for key in keys)


async def looked_at(call: Call, pairs: Sequence[tuple[Described, Described]]) -> Redescribed:
    """Return what is said after looking what it may move by now, while nobody waits for it."""
    fleet, lookups = call.context.fleet, call.context.lookups
    collections = await call.read_fleet(
        lambda: fleet.ask(lambda view: list(view.collections.values()))
    )

    def look() -> Redescribed:
        frozen = frozen_by(call.context.reading.calendar.freezes(), call.now)
        return _looked_at(lookups, collections, pairs, frozen)

    return await call.read(look)


def _looked_at(
    lookups: Lookups,
    collections: Iterable[StoredCollection],
    pairs: Sequence[tuple[Described, Described]],
    frozen: Set[UUID],
) -> Redescribed:
    said, known = Redescribed(pairs), asking(collections)
    places = _places(lookups.users(), lookups.api_tokens())
    bound = saying_where(read_order(lookups.setting(OF_COLLECTIONS))) | frozen
    places |= frozenset(map(str, bound))
    for one in (*deciding(known, places), *_all(known, deciding_tier(known))):
        said.may_move(one.definition.query)
    return said


class _Granted(Protocol):
    @property
    def rights(self) -> Sequence[str]: ...


def _places(*holders: Iterable[_Granted]) -> frozenset[str]:
    """Return where rights end: collections and machines, each as it is written in a grant."""
    texts = (text for some in holders for one in some for text in one.rights)
    return frozenset(place for text in texts if (place := text.partition(AT)[2]))


def deciding(known: Known, places: frozenset[str]) -> Iterator[StoredCollection]:
    """Return the collections that rights end at, and all that those are made of."""
    definitions = {key: one.definition for key, one in known.items()}
    return _all(known, made_of(definitions, [key for key in known if str(key) in places]))


class _Ground:
    """Machines as they are described, at one time."""

    def __init__(self, described: Sequence[Described]) -> None:
        self.rows = BitMap(range(len(described)))
        self._all = described
        self._columns: dict[str, Column] = {}
        self._texts: list[str] = []

    def where(self, place: str, fits: Fits, /) -> BitMap:
        if place not in self._columns:
            read = SAID[place]
            self._columns[place] = grouped((n, read(one)) for n, one in enumerate(self._all))
        return self._columns[place].where(fits)

    def mentioning(self, text: str, /) -> BitMap:
        if not self._texts:
            self._texts = [f"{one.owner}\n{one.location}".casefold() for one in self._all]
        return BitMap([n for n, said in enumerate(self._texts) if text in said])


@lru_cache(maxsize=_TEXTS)
def _asked(query: str) -> tuple[Condition, ...]:
    """Return what a query asks of what people say; of one that nobody understands now, nothing."""
    if not query:
        return ()
    try:
        parsed = parse_query(query, MACHINE_FIELDS)
    except InvalidQuery:
        return ()
    return tuple(o for o in conditions(parsed) if isinstance(o, Mentions) or o.place in SAID)
