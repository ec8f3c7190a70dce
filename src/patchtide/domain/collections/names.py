"""What queries over machines name: collections, and lists of the updates that they need.

`collection = "Web servers"` and `requires(list = spring)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from uuid import UUID

from patchtide.domain.catalog.queries import Asked, conditions, values_asked
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.catalog.update_query import LIST
from patchtide.domain.collections.definitions import (
    ALL_MACHINES,
    ALL_MACHINES_NAME,
    Definition,
    Definitions,
)
from patchtide.domain.compliance.machine_query import COLLECTION, MACHINE_FIELDS, REQUIRES

_TEXTS = 4_000
"""More than a site has collections: a change of one has no query read again."""


@lru_cache(maxsize=_TEXTS)
def names_asked(query: str) -> frozenset[str]:
    """Return the names, case-folded, of the collections that a query asks for, there or not."""
    if COLLECTION not in query:
        return frozenset()
    try:
        found = values_asked(parse_query(query, MACHINE_FIELDS), COLLECTION)
    except InvalidQuery:
        return frozenset()
    return frozenset(name.casefold() for name in found)


@lru_cache(maxsize=_TEXTS)
def updates_asked(query: str) -> frozenset[str]:
    """Return what it asks of updates that machines need, each a query of its own."""
    if REQUIRES not in query:
        return frozenset()
    try:
        parsed = parse_query(query, MACHINE_FIELDS)
    except InvalidQuery:
        return frozenset()
    asked = (one for one in conditions(parsed) if isinstance(one, Asked))
    return frozenset(one.of for one in asked if one.field == REQUIRES)


def lists_asked(query: str) -> frozenset[str]:
    """Return the names, case-folded, of the lists of updates that it asks for, there or not."""
    fields = MACHINE_FIELDS[REQUIRES].within or {}
    parsed = (parse_query(text, fields) for text in updates_asked(query) if text)
    return frozenset(name.casefold() for one in parsed for name in values_asked(one, LIST))


def with_asked(definitions: Definitions) -> Mapping[UUID, Definition]:
    """Return them with the collections that their queries name by now."""
    named = {one.name.casefold(): key for key, one in definitions.items()}
    named[ALL_MACHINES_NAME.casefold()] = ALL_MACHINES
    found: dict[UUID, Definition] = {}
    for key, one in definitions.items():
        names = sorted(names_asked(one.query) & named.keys())
        asks_for = tuple(named[name] for name in names)
        found[key] = one if one.asks_for == asks_for else replace(one, asks_for=asks_for)
    return found
