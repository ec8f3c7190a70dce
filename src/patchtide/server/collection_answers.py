"""What the queries of collections find, as it was asked last.

A query that names collections is taken apart: what it asks besides is kept as queries are, and who
is in the collections that it names is asked at the moment at which it counts, in their turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from pyroaring import BitMap

from patchtide.domain.catalog.queries import (
    All,
    Asked,
    Condition,
    Either,
    Mentions,
    No,
    Operator,
    Query,
    combined,
    conditions,
    holds,
)
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.collections.names import names_asked
from patchtide.domain.compliance.machine_query import COLLECTION, MACHINE_FIELDS
from patchtide.domain.errors import Unavailable
from patchtide.server.fleet_view import View
from patchtide.server.machine_index import MachineIndex

EACH = timedelta(hours=1)
"""So often each query is asked from nothing, whatever is kept of it."""
AT_ONCE = 2
"""So many of them together: whoever asks meanwhile waits for it."""
_NOBODY = BitMap()
_TEXTS = 4_000
Named = Callable[[Sequence[str]], BitMap | None]
"""Who is in one of the collections of these names; None: nobody knows."""


@dataclass(frozen=True, slots=True)
class _Asking:
    """A query that names collections; each part that names none is a condition by its text."""

    query: Query
    named: Sequence[Condition]
    texts: Mapping[Condition, str]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say who answers."""

    why: str


@dataclass(frozen=True, slots=True)
class Turned:
    """What queries say otherwise than before."""

    machines: Mapping[str, BitMap]
    """Of whom, by text."""
    anew: frozenset[str]
    """Those that can be answered now and could not, or the contrary."""


class CollectionAnswers:
    def __init__(self, machines: MachineIndex) -> None:
        self._machines = machines
        self._found: dict[str, BitMap | Unknown] = {}
        self._unread = set[str]()
        """What cannot be answered before all that machines told was read."""
        self._checked_at: datetime | None = None
        self._owed = 0.0
        """So many are to be asked from nothing by now."""
        self._turns: list[str] = []
        self._checked = set[str]()
        """What was asked from nothing since it was followed."""

    def follow(self, view: View, texts: Set[str]) -> Turned:
        """Take up what is asked, and who answers otherwise by now."""
        turned = self._machines.turned(view)
        checked, self._checked = self._checked, set()
        wanted = texts if turned is None else (turned.keys() | checked) & texts
        if self._found.keys() != texts:
            for text in self._found.keys() - texts:
                del self._found[text]
                self._machines.drop(text)
            wanted = wanted | (texts - self._found.keys())
        if self._unread and self._machines.facts.is_whole:
            wanted, self._unread = wanted | (self._unread & texts), set()
        was = {text: self._found[text] for text in wanted if text in self._found}
        for text in wanted:
            known = self._machines.known(text)
            self._found[text] = self._asked(view, text) if known is None else known
        moved, anew = dict[str, BitMap](), set[str]()
        for text, before in was.items():
            now = self._found[text]
            if isinstance(before, BitMap) and isinstance(now, BitMap):
                if before is not now and (others := before ^ now):
                    moved[text] = others
            elif before != now:
                anew.add(text)
        return Turned(moved, frozenset(anew))

    def check(self, view: View, texts: Set[str]) -> None:
        """Ask those from nothing whose turn it is: each once in so long."""
        since = max(timedelta(), view.now - (self._checked_at or view.now))
        self._checked_at = view.now
        self._owed = min(self._owed + len(texts) * (since / EACH), len(texts))
        for _ in range(min(int(self._owed), AT_ONCE)):
            self._owed -= 1
            self._turns = self._turns or [text for text in self._found if text in texts]
            if not self._turns:
                return
            text = self._turns.pop()
            with suppress(InvalidQuery, Unavailable):  # who asks for it is told
                self._machines.check(view, text)
            self._checked.add(text)

    @property
    def has_checked(self) -> bool:
        """Say whether something was asked from nothing that was not followed yet."""
        return bool(self._checked)

    def answering(self, query: str, named: Named, *, among: BitMap) -> BitMap | None:
        """Return who of these answers; None: nobody can say."""
        if not names_asked(query):
            found = self._found[query]
            return None if isinstance(found, Unknown) else found & among
        asking, known = _taken_apart(query), dict[Condition, BitMap]()
        for one, text in asking.texts.items():
            found = self._found[text]
            if isinstance(found, Unknown):
                return None
            known[one] = found
        for one in asking.named:
            holding = who(one, named, among=among)
            if holding is None:
                return None
            known[one] = holding
        return combined(asking.query, among, known.__getitem__)

    def why_unknown(self, query: str) -> str:
        """Return why nobody can say who answers, if it is for what machines are asked."""
        found = (self._found.get(text) for text in texts_of(query))
        return next((one.why for one in found if isinstance(one, Unknown)), "")

    def _asked(self, view: View, text: str) -> BitMap | Unknown:
        try:
            return self._machines.kept(view, text)
        except InvalidQuery as error:
            # It was one when it was written.
            return Unknown(f"its query is not understood any more: {error}")
        except Unavailable as error:
            self._unread.add(text)
            return Unknown(str(error))


def is_named(one: Condition) -> bool:
    """Say whether a condition is one on collections."""
    return isinstance(one, Asked) and one.field == COLLECTION


def who(one: Condition, named: Named, *, among: BitMap) -> BitMap | None:
    """Return of whom of these a condition on collections holds; None: nobody knows."""
    if not isinstance(one, Asked):
        return _NOBODY
    found = named(one.values)
    if found is None:
        return None
    return among - found if one.operator is Operator.IS_NOT else found & among


def texts_of(query: str) -> Iterable[str]:
    """Return what is asked of machines to answer it."""
    return _taken_apart(query).texts.values() if names_asked(query) else (query,)


def is_open(query: str) -> bool:
    """Say whether it is answered by a machine that is in no collection, and has no answer else."""
    return bool(names_asked(query)) and holds(_taken_apart(query).query, _is_not_in)


def _is_not_in(one: Condition) -> bool:
    return isinstance(one, Asked) and is_named(one) and one.operator is Operator.IS_NOT


@lru_cache(maxsize=_TEXTS)
def _taken_apart(query: str) -> _Asking:
    parted = _parted(parse_query(query, MACHINE_FIELDS))
    every = tuple(dict.fromkeys(conditions(parted)))
    texts: dict[Condition, str] = {one: one.text for one in every if isinstance(one, Mentions)}
    return _Asking(parted, [one for one in every if is_named(one)], texts)


def _parted(query: Query) -> Query:
    """Return it with each part that names no collection as one condition: the text of that part.

    The larger the parts, the fewer of their answers turn as machines come and move.
    """
    if not any(map(is_named, conditions(query))):
        return Mentions(query_text(query, MACHINE_FIELDS))
    match query:
        case All(members) | Either(members):
            return type(query)(tuple(map(_parted, members)))
        case No(member):
            return No(_parted(member))
        case _:
            return query
