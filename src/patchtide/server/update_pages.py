"""Lists of updates as people look at them: by a query, narrowed by filters, page by page.

Every step is one over sets of updates, whose order is that of their titles; only those that are
shown are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import and_
from types import MappingProxyType
from typing import Any

from pyroaring import BitMap

from patchtide.domain.catalog.queries import Query, select
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_tests import Value
from patchtide.domain.catalog.risk import CLASSES
from patchtide.domain.catalog.update_filters import UPDATE_FILTERS, Filter, chosen, parts_of
from patchtide.domain.catalog.update_query import SEVERITIES, UPDATE_FIELDS
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import Counted
from patchtide.server.update_index import UpdateGround, UpdateIndex
from patchtide.server.update_search import fields_of

SORTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "title": (),
        "severity": ("severity", "required"),
        "risk": ("risk", "severity", "required"),
        "kind": ("classification",),
        "required": ("required", "severity"),
        "installed": ("installed",),
        "released": ("age",),
        "cves": ("cves",),
    }
)
"""By which fields: the next one among those that are alike in the one before, and then titles."""
_RANKS: Mapping[str, Mapping[Value, int]] = MappingProxyType(
    {
        "severity": {one.value: rank for rank, one in enumerate(SEVERITIES)},
        "risk": {one.value: rank for rank, one in enumerate(CLASSES)},
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of a list is asked for."""

    query: str = ""
    on: str = ""
    """Only what is on this list; empty: all updates."""
    sort: str = "required"
    descending: bool = True
    page: int = 1
    """Behind the last one there is none: then the last one."""
    size: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One page, and what the filters beside it say."""

    rows: Sequence[Counted]
    page: int
    total: int
    of: int
    """How many there are without any query."""
    chosen: Mapping[str, str]
    """By filter: the choice that the query holds."""
    counts: Mapping[str, Mapping[str, int]]
    """By filter and value: how many another choice would show; under the empty one, none."""


def look(index: UpdateIndex, view: View, wanted: Wanted) -> Found:
    """Return a page of the updates that answer to a query.

    Raises:
        InvalidQuery
    """
    fields, ground = fields_of(view), index.ground(view)
    query = parse_query(wanted.query, fields)
    base = ground.on(wanted.on) if wanted.on else ground.rows
    parts = parts_of(query)
    sets = [select(part, fields=fields, ground=ground) for part in parts]
    found = reduce(and_, sets, base)
    page = min(wanted.page, max(1, -(-len(found) // wanted.size)))
    ordered = _ordered(ground, found, SORTS[wanted.sort], falls=wanted.descending)
    shown = islice(ordered, (page - 1) * wanted.size, page * wanted.size)
    by_filter = {}
    for one in UPDATE_FILTERS:
        # What another choice here would show: the choice itself does not narrow it.
        others = [s for s, part in zip(sets, parts, strict=True) if not one.said_by(part)]
        rest = found if len(others) == len(sets) else reduce(and_, others, base)
        by_filter[one.name] = dict(_counts(one, ground, rest))
    return Found(
        rows=[view.counted(update) for update in ground.those(shown)],
        page=page,
        total=len(found),
        of=len(base),
        chosen=chosen(query, UPDATE_FILTERS),
        counts=by_filter,
    )


def _counts(one: Filter, ground: UpdateGround, among: BitMap) -> Iterator[tuple[str, int]]:
    yield "", len(among)
    if one.of:
        for value, rows in ground.values(one.of).items():
            if count := rows.intersection_cardinality(among):
                yield str(value), count
    for name, option in one.options.items():
        yield name, _answering(ground, option).intersection_cardinality(among)


def _answering(ground: UpdateGround, option: Query) -> BitMap:
    return select(option, fields=UPDATE_FIELDS, ground=ground)


def _ordered(
    ground: UpdateGround, found: BitMap, fields: Sequence[str], *, falls: bool
) -> Iterable[int]:
    """Yield them in order; those of which the first field says nothing are the last."""
    if not fields:
        return reversed(found) if falls else found
    return _by_value(ground, found, fields, falls=falls)


def _by_value(
    ground: UpdateGround, found: BitMap, fields: Sequence[str], *, falls: bool
) -> Iterator[int]:
    rest = found
    values, ranks = ground.values(fields[0]), _RANKS.get(fields[0])

    def place(value: Value) -> Any:
        return ranks[value] if ranks else value

    for value in sorted(values, key=place, reverse=falls):
        alike = values[value] & found
        if alike:
            rest = rest - alike
            # Titles rise in any case, but for a list that is sorted by nothing else.
            yield from _ordered(ground, alike, fields[1:], falls=falls) if fields[1:] else alike
        if not rest:
            return
    yield from rest
