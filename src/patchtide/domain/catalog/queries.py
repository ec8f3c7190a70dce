"""Queries over rows of any kind: what may be asked of them, and which of them answer to it.

Which fields there are is an argument: updates have theirs, machines others. A row may have one
value of a field, several, or none. `!=` is the contrary of `=`, so a row without a value fits it;
no other test does. A test runs once for every distinct value, the rest are sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Protocol, assert_never

if TYPE_CHECKING:  # an agent has no sets of machines
    from pyroaring import BitMap

Value = str | int | None
Fits = Callable[[Value], bool]


class FieldKind(StrEnum):
    FLAG = "flag"
    TEXT = "text"
    CHOICE = "choice"
    RANK = "rank"
    """A choice with an order, the least first."""
    NUMBER = "number"
    AGE = "age"
    """In days; written `30d` or `4w`."""


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
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryField:
    name: str
    kind: FieldKind
    says: str
    """What it tells, in a few words."""
    choices: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class All:
    members: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Either:
    members: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class No:
    member: Query


Query = Everything | Mentions | Asked | All | Either | No


def conditions(query: Query) -> int:
    """Return of how many single conditions it is made."""
    match query:
        case All(members) | Either(members):
            return sum(map(conditions, members))
        case No(member):
            return conditions(member)
        case _:
            return 1


def with_value(query: Query, field: str, old: str, new: str) -> Query:
    """Return the query asking this field for a new value wherever it asks for the old one."""
    match query:
        case Asked(name, operator, values) if name == field and old in values:
            return Asked(name, operator, tuple(new if one == old else one for one in values))
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

    def where(self, field: str, fits: Fits, /) -> BitMap:
        """Return those that have a value which fits."""
        ...

    def mentioning(self, text: str, /) -> BitMap:
        """Return those that people read the text of, which is case-folded, in."""
        ...


def select(query: Query, *, fields: Fields, ground: Ground) -> BitMap:
    """Return the rows that answer to it."""
    match query:
        case Everything():
            return ground.rows
        case Mentions(text):
            return ground.mentioning(text.casefold())
        case All(members):
            found = ground.rows
            for part in members:
                if not found:
                    break
                found = found & select(part, fields=fields, ground=ground)
            return found
        case Either(members):
            parts = (select(part, fields=fields, ground=ground) for part in members)
            return reduce(or_, parts)
        case No(member):
            return ground.rows - select(member, fields=fields, ground=ground)
        case Asked():
            return _asked(query, fields[query.field], ground)
        case _:
            assert_never(query)


def _asked(asked: Asked, field: QueryField, ground: Ground) -> BitMap:
    if asked.operator is Operator.IS_NOT:
        return ground.rows - ground.where(field.name, _equal(field, asked.values))
    return ground.where(field.name, _test(field, asked))


def _test(field: QueryField, asked: Asked) -> Fits:
    if asked.operator is Operator.HOLDS:
        return bool
    if asked.operator in (Operator.IS, Operator.IN):
        return _equal(field, asked.values)
    if asked.operator is Operator.CONTAINS:
        part = asked.values[0].casefold()
        return lambda value: part in str(value).casefold()
    return _compared(field, asked.operator, [_key(field, value) for value in asked.values])


def _equal(field: QueryField, values: tuple[str, ...]) -> Fits:
    if field.kind is FieldKind.NUMBER:
        numbers = frozenset(map(int, values))
        return lambda value: value in numbers
    wanted = frozenset(value.casefold() for value in values)
    return lambda value: str(value).casefold() in wanted


def _compared(field: QueryField, operator: Operator, bounds: list[int]) -> Fits:
    first, last = bounds[0], bounds[-1]
    tests: Mapping[Operator, Callable[[int], bool]] = {
        Operator.LESS: lambda key: key < first,
        Operator.AT_MOST: lambda key: key <= first,
        Operator.MORE: lambda key: key > first,
        Operator.AT_LEAST: lambda key: key >= first,
        Operator.BETWEEN: lambda key: first <= key <= last,
    }
    test = tests[operator]
    return lambda value: test(_key(field, value))


def _key(field: QueryField, value: Value) -> int:
    return field.choices.index(str(value)) if field.kind is FieldKind.RANK else int(value or 0)
