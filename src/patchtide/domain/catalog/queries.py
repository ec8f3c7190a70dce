"""Queries over rows of any kind: what may be asked of them, and which of them answer to it.

Which fields there are is an argument: updates have theirs, machines others. A row may have one
value of a field, several, or none. `!=` is the contrary of `=`, so a row without a value fits it;
no other test does. A test runs once for every distinct value, the rest are sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from operator import ge, gt, le, lt, or_
from typing import TYPE_CHECKING, Protocol, assert_never

from patchtide.domain.catalog.query_tests import (
    HOLDS,
    IS_THERE,
    Fits,
    Value,
    compared,
    contains,
    equals_address,
    equals_number,
    equals_text,
    equals_version,
    version_compared,
)

if TYPE_CHECKING:  # an agent has no sets of machines
    from pyroaring import BitMap


class FieldKind(StrEnum):
    FLAG = "flag"
    TEXT = "text"
    CHOICE = "choice"
    RANK = "rank"
    """A choice with an order, the least first."""
    NUMBER = "number"
    AGE = "age"
    """In days; written `30d` or `4w`."""
    VERSION = "version"
    """In the order that the value itself stands in: a package's in that of its format."""
    ADDRESS = "address"
    """An address fits the networks that it lies in, too."""
    NAME = "name"
    """Something that people gave a name to, and that has to be there."""


class Operator(StrEnum):
    HOLDS = ""
    """What a flag is asked."""
    IS = "="
    IS_NOT = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    CONTAINS = "contains"
    IN = "in"
    BETWEEN = "between"


_EQUAL = (Operator.IS, Operator.IS_NOT, Operator.IN)
_ORDER = (Operator.LESS, Operator.AT_MOST, Operator.MORE, Operator.AT_LEAST, Operator.BETWEEN)
OPERATORS: Mapping[FieldKind, tuple[Operator, ...]] = {
    FieldKind.FLAG: (),
    FieldKind.TEXT: (*_EQUAL, Operator.CONTAINS),
    FieldKind.CHOICE: _EQUAL,
    FieldKind.RANK: (*_EQUAL, *_ORDER),
    FieldKind.NUMBER: (*_EQUAL, *_ORDER),
    FieldKind.AGE: _ORDER,
    FieldKind.VERSION: (*_EQUAL, *_ORDER, Operator.CONTAINS),
    FieldKind.ADDRESS: _EQUAL,
    FieldKind.NAME: _EQUAL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryField:
    name: str
    kind: FieldKind
    says: str
    """What it tells, in a few words."""
    choices: tuple[str, ...] = ()
    """Of names those that are there; none, where nobody asks whether they are."""
    of: str = ""
    """What is named in parentheses behind it, if anything is; by itself it asks whether it is
    there: `package(openssl)`."""
    may_lack: bool = False
    """`= ""` asks for what nothing is said of."""
    within: Fields | None = None
    """What is asked in the parentheses behind it, which is a query by itself."""


Fields = Mapping[str, QueryField]


@dataclass(frozen=True, slots=True)
class Everything:
    """What an empty text asks for."""


@dataclass(frozen=True, slots=True)
class Mentions:
    """The text stands somewhere in what people read of the row."""

    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The values are as they are spelled: of an age in days."""

    field: str
    operator: Operator
    values: tuple[str, ...] = ()
    of: str = ""

    @property
    def place(self) -> str:
        """Under which name the ground has the values."""
        return place_of(self.field, self.of) if self.of else self.field


def place_of(field: str, of: str) -> str:
    return f"{field}({of})"


@dataclass(frozen=True, slots=True)
class All:
    members: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Either:
    members: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class No:
    member: Query


Condition = Mentions | Asked
Query = Everything | Condition | All | Either | No


def conditions(query: Query) -> Iterator[Condition]:
    """Yield the single conditions that it is made of."""
    match query:
        case All(members) | Either(members):
            for part in members:
                yield from conditions(part)
        case No(member):
            yield from conditions(member)
        case Mentions() | Asked():
            yield query


def values_asked(query: Query, field: str) -> frozenset[str]:
    """Return the values that it asks this field for, in whatever way."""
    asked = (one for one in conditions(query) if isinstance(one, Asked) and one.field == field)
    return frozenset(value for one in asked for value in one.values)


def with_value(query: Query, field: str, old: str, new: str) -> Query:
    """Return the query asking this field for a new value wherever it asks for the old one."""
    match query:
        case Asked(name, operator, values, of) if name == field and old in values:
            return Asked(name, operator, tuple(new if one == old else one for one in values), of)
        case All(members) | Either(members):
            return type(query)(tuple(with_value(one, field, old, new) for one in members))
        case No(member):
            return No(with_value(member, field, old, new))
        case _:
            return query


class Ground(Protocol):
    """The rows that are asked, each under a number."""

    @property
    def rows(self) -> BitMap: ...

    def where(self, place: str, fits: Fits, /) -> BitMap:
        """Return those that have a value which fits; see `Asked.place`."""
        ...

    def mentioning(self, text: str, /) -> BitMap:
        """Return those that people read the text of, which is case-folded, in."""
        ...


def select(query: Query, *, fields: Fields, ground: Ground) -> BitMap:
    """Return the rows that answer to it."""
    return combined(query, ground.rows, lambda one: found(one, fields=fields, ground=ground))


def found(one: Condition, *, fields: Fields, ground: Ground) -> BitMap:
    """Return the rows of which a condition holds."""
    if isinstance(one, Mentions):
        return ground.mentioning(one.text.casefold())
    asked = ground.where(one.place, fits_of(one, fields[one.field]))
    return ground.rows - asked if one.operator is Operator.IS_NOT else asked


def combined(query: Query, rows: BitMap, of: Callable[[Condition], BitMap]) -> BitMap:
    """Return which of the rows answer to it, from those of which each condition holds."""
    match query:
        case Everything():
            return rows
        case Mentions() | Asked():
            return of(query) & rows
        case All(members):
            kept = rows
            for part in members:
                if not kept:
                    break
                kept = kept & combined(part, rows, of)
            return kept
        case Either(members):
            return reduce(or_, (combined(part, rows, of) for part in members))
        case No(member):
            return rows - combined(member, rows, of)
        case _:
            assert_never(query)


def holds(query: Query, of: Callable[[Condition], bool]) -> bool:
    """Say whether one row answers to it, from whether each condition holds of it."""
    match query:
        case Everything():
            return True
        case Mentions() | Asked():
            return of(query)
        case All(members):
            return all(holds(part, of) for part in members)
        case Either(members):
            return any(holds(part, of) for part in members)
        case No(member):
            return not holds(member, of)
        case _:
            assert_never(query)


def fits_of(asked: Asked, field: QueryField) -> Fits:
    """Return what is asked of a value; for `!=` what must fit none of a row's."""
    match asked.operator:
        case Operator.HOLDS:
            return IS_THERE if field.of else HOLDS
        case Operator.IS | Operator.IS_NOT | Operator.IN:
            return _EQUALS.get(field.kind, equals_text)(asked.values)
        case Operator.CONTAINS:
            return contains(asked.values[0])
    is_so = _COMPARED[asked.operator]
    if field.kind is FieldKind.VERSION:
        return version_compared(asked.values, is_so)
    bounds = [_key(field, value) for value in asked.values]
    return compared(bounds, is_so, lambda value: _key(field, value))


_EQUALS = {
    FieldKind.NUMBER: equals_number,
    FieldKind.VERSION: equals_version,
    FieldKind.ADDRESS: equals_address,
}
_COMPARED: Mapping[Operator, Callable[..., bool]] = {
    Operator.LESS: lt,
    Operator.AT_MOST: le,
    Operator.MORE: gt,
    Operator.AT_LEAST: ge,
    Operator.BETWEEN: lambda key, first, last: first <= key <= last,
}


def _key(field: QueryField, value: Value) -> int:
    if field.kind is FieldKind.RANK:
        return field.choices.index(str(value))
    return value if isinstance(value, int) else int(str(value or 0))
