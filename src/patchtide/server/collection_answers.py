"""What the queries of collections find, as it was asked last.

A query that names collections is taken apart: its other conditions are kept as queries are, and who
is in the collections that it names is asked at the moment at which it counts, in their turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pyroaring import BitMap

from patchtide.domain.catalog.queries import Asked, Condition, Operator, Query, combined, conditions
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.collections.names import names_asked
from patchtide.domain.compliance.machine_query import COLLECTION, MACHINE_FIELDS
from patchtide.domain.errors import Unavailable
from patchtide.server.fleet_view import View
from patchtide.server.machine_index import MachineIndex

_NOBODY = BitMap()
_TEXTS = 4_000
Named = Callable[[Sequence[str]], BitMap]
"""Who is in one of the collections of these names."""


@dataclass(frozen=True, slots=True)
class _Asking:
    """A query that names collections, with the texts of its other conditions."""

    query: Query
    texts: Mapping[Condition, str]


class CollectionAnswers:
    def __init__(self, machines: MachineIndex) -> None:
        self._machines = machines
        self._found: dict[str, BitMap] = {}

    def follow(self, view: View, queries: Iterable[str]) -> Mapping[str, BitMap]:
        """Ask them anew; return by text of which machines it says something else by now."""
        texts = {text for query in queries for text in texts_of(query)}
        found = {text: self._asked(view, text) for text in texts}
        moved: dict[str, BitMap] = {}
        for text, now in found.items():
            was = self._found.get(text, now)
            if was is not now and (others := was ^ now):
                moved[text] = others
        self._found = found
        return moved

    def answering(self, query: str, named: Named, *, among: BitMap) -> BitMap:
        """Return who of these answers."""
        if not names_asked(query):
            # A collection that is gone by now may be looked at once more before it is taken up.
            return self._found.get(query, _NOBODY) & among
        asking = _taken_apart(query)

        def of(one: Condition) -> BitMap:
            if is_named(one):
                return who(one, named, among=among)
            return self._found.get(asking.texts[one], _NOBODY)

        return combined(asking.query, among, of)

    def _asked(self, view: View, text: str) -> BitMap:
        try:
            return self._machines.kept(view, text)
        except InvalidQuery:
            # It was one when it was written: what it asked for is gone since.
            return _NOBODY
        except Unavailable:
            return self._found.get(text, _NOBODY)


def is_named(one: Condition) -> bool:
    """Say whether a condition is one on collections."""
    return isinstance(one, Asked) and one.field == COLLECTION


def who(one: Condition, named: Named, *, among: BitMap) -> BitMap:
    """Return of whom of these a condition on collections holds."""
    if not isinstance(one, Asked):
        return _NOBODY
    found = named(one.values) & among
    return among - found if one.operator is Operator.IS_NOT else found


def texts_of(query: str) -> Iterable[str]:
    """Return what is asked of machines to answer it."""
    return _taken_apart(query).texts.values() if names_asked(query) else (query,)


@lru_cache(maxsize=_TEXTS)
def _taken_apart(query: str) -> _Asking:
    parsed = parse_query(query, MACHINE_FIELDS)
    others = {one for one in conditions(parsed) if not is_named(one)}
    return _Asking(parsed, {one: query_text(one, MACHINE_FIELDS) for one in others})
