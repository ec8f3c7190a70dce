"""Filters of lists of updates: ways to write a part of a query, and nothing besides the query.

A choice is a condition that stands there by itself, joined to the rest by `and`; so whoever writes
it by hand has made the same choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from patchtide.domain.catalog.queries import All, Asked, Either, Everything, No, Operator, Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What may be chosen: the values of a field, or else these options."""

    name: str
    of: str = ""
    options: Mapping[str, Query] = field(default_factory=dict)

    def option(self, value: str) -> Query | None:
        """Return the condition that a choice writes; None: it cannot be chosen."""
        if self.of:
            return Asked(self.of, Operator.IS, (value,))
        return self.options.get(value)

    def said_by(self, part: Query) -> str:
        """Return the choice that a condition is; empty: it is none of this filter."""
        if not self.of:
            return next((value for value, said in self.options.items() if said == part), "")
        if not isinstance(part, Asked) or part.field != self.of:
            return ""
        return part.values[0] if part.operator is Operator.IS else ""


def parts_of(query: Query) -> tuple[Query, ...]:
    """Return the conditions that all have to hold."""
    match query:
        case Everything():
            return ()
        case All(members):
            return members
        case _:
            return (query,)


def joined(parts: Sequence[Query]) -> Query:
    """Return the query that asks for all of these conditions."""
    if not parts:
        return Everything()
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def chosen(query: Query, filters: Sequence[Filter]) -> Mapping[str, str]:
    """Return by filter what the query chooses in it; of two choices in one, the first."""
    parts = parts_of(query)
    said = ((one.name, value) for one in filters for part in parts if (value := one.said_by(part)))
    found: dict[str, str] = {}
    for name, value in said:
        found.setdefault(name, value)
    return found


def narrowed(query: Query, by: Filter, value: str) -> Query:
    """Return the query with another choice in a filter; with an empty value, with none."""
    kept = [part for part in parts_of(query) if not by.said_by(part)]
    option = by.option(value) if value else None
    return joined([*kept, option] if option is not None else kept)


_NEEDED = Asked("required", Operator.MORE, ("0",))
_UNNEEDED = Asked("required", Operator.IS, ("0",))
_SUPERSEDED = Asked("superseded", Operator.HOLDS)
_EXPIRED = Asked("expired", Operator.HOLDS)
UPDATE_FILTERS: tuple[Filter, ...] = (
    Filter(name="needed", options=MappingProxyType({"yes": _NEEDED, "no": _UNNEEDED})),
    Filter(name="severity", of="severity"),
    Filter(name="risk", of="risk"),
    Filter(name="kind", of="classification"),
    Filter(name="feed", of="feed"),
    Filter(name="product", of="product"),
    Filter(
        name="status",
        options=MappingProxyType(
            {
                "current": No(Either((_SUPERSEDED, _EXPIRED))),
                "superseded": _SUPERSEDED,
                "expired": _EXPIRED,
            }
        ),
    ),
)
