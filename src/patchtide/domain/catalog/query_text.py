"""Queries as people read them: the canonical text, which `query_parser` reads back to the same."""

from __future__ import annotations

from typing import assert_never

from patchtide.domain.catalog.queries import (
    All,
    Asked,
    Either,
    Everything,
    FieldKind,
    Fields,
    Mentions,
    No,
    Operator,
    Query,
    place_of,
)
from patchtide.domain.catalog.rule_text import quoted, word


def query_text(query: Query, fields: Fields) -> str:
    match query:
        case Everything():
            return ""
        case Mentions(text):
            return quoted(text)
        case Asked():
            return _asked(query, fields)
        case All(members):
            return " and ".join(_inner(part, fields) for part in members)
        case Either(members):
            return " or ".join(_inner(part, fields) for part in members)
        case No(member):
            return f"not {_inner(member, fields)}"
        case _:
            assert_never(query)


def _inner(query: Query, fields: Fields) -> str:
    text = query_text(query, fields)
    return f"({text})" if isinstance(query, All | Either) else text


def _asked(asked: Asked, fields: Fields) -> str:
    field = fields[asked.field]
    match field.kind:
        case FieldKind.AGE:
            said = [f"{days}d" for days in asked.values]
        case FieldKind.CHOICE | FieldKind.RANK:
            said = list(asked.values)
        case _:
            said = [word(value) for value in asked.values]
    if field.within is not None:
        return place_of(asked.field, asked.of)
    name = place_of(asked.field, word(asked.of)) if asked.of else asked.field
    match asked.operator:
        case Operator.HOLDS:
            return name
        case Operator.IN:
            return f"{name} in ({', '.join(said)})"
        case Operator.BETWEEN:
            return f"{name} between {said[0]} and {said[1]}"
        case _:
            return f"{name} {asked.operator.value} {said[0]}"
