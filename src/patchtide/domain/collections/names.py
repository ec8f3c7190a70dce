"""Collections that queries name: `collection = "Web servers"`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from uuid import UUID

from patchtide.domain.catalog.queries import values_asked
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.collections.definitions import (
    ALL_MACHINES,
    ALL_MACHINES_NAME,
    Definition,
    Definitions,
)
from patchtide.domain.compliance.machine_query import COLLECTION, MACHINE_FIELDS

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
