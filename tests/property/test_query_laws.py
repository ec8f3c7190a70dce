"""Laws of queries: text keeps them whole, and what they find is what each row says by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from patchtide.domain.catalog.queries import (
    OPERATORS,
    All,
    Asked,
    Either,
    FieldKind,
    Mentions,
    No,
    Operator,
    Query,
    QueryField,
    select,
)
from patchtide.domain.catalog.query_completion import complete
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_tests import Fits, Value
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.catalog.update_query import UPDATE_FIELDS as FIELDS
from patchtide.domain.compliance.machine_query import MACHINE_FIELDS

TEXTS = st.one_of(
    st.sampled_from(
        ("or", "in", "contains", "expired", "a b", 'q"', "installed", "\u202e", "\\u{")
    ),
    st.text(min_size=1, max_size=8),
)
ROWS: tuple[Mapping[str, tuple[Value, ...]], ...] = (
    {"severity": ("critical",), "required": (3,), "cve": ("CVE-1", "CVE-2"), "age": (1,)},
    {"severity": ("low",), "required": (0,), "cve": (), "expired": (True,)},
    {"severity": ("none",), "required": (7,), "cve": ("cve-2",), "age": (40,)},
    {},
)


def value_of(field: QueryField) -> st.SearchStrategy[str]:
    if field.choices:
        return st.sampled_from(field.choices)
    if field.kind in (FieldKind.NUMBER, FieldKind.AGE):
        return st.integers(0, 99).map(str)
    return TEXTS


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    field = FIELDS[draw(st.sampled_from(sorted(FIELDS)))]
    if not OPERATORS[field.kind]:
        return Asked(field.name, Operator.HOLDS)
    operator = draw(st.sampled_from(OPERATORS[field.kind]))
    least, most = {Operator.IN: (1, 3), Operator.BETWEEN: (2, 2)}.get(operator, (1, 1))
    values = draw(st.lists(value_of(field), min_size=least, max_size=most))
    return Asked(field.name, operator, tuple(values))


def members(inner: st.SearchStrategy[Query]) -> st.SearchStrategy[tuple[Query, ...]]:
    return st.lists(inner, min_size=2, max_size=3).map(tuple)


QUERIES: st.SearchStrategy[Query] = st.recursive(
    st.one_of(TEXTS.map(Mentions), asked()),
    lambda inner: st.one_of(inner.map(No), members(inner).map(All), members(inner).map(Either)),
    max_leaves=8,
)


class Rows:
    """Some of the rows, asked one by one."""

    def __init__(self, *numbers: int) -> None:
        self.rows = BitMap(numbers)

    def where(self, place: str, fits: Fits, /) -> BitMap:
        return BitMap(n for n in self.rows if any(map(fits, ROWS[n].get(place, ()))))

    def mentioning(self, text: str, /) -> BitMap:
        return BitMap(n for n in self.rows if text in str(n))


@given(QUERIES)
def test_the_text_of_a_query_is_read_back_to_the_same(query: Query) -> None:
    assert parse_query(query_text(query, FIELDS), FIELDS) == query


@given(QUERIES)
def test_a_query_within_one_is_read_back_to_the_same(query: Query) -> None:
    text = query_text(query, FIELDS)
    within = {**MACHINE_FIELDS, "requires": replace(MACHINE_FIELDS["requires"], within=FIELDS)}
    read = parse_query(f"not requires({text}) and web", within)

    assert read == All((No(Asked("requires", Operator.HOLDS, (), text)), Mentions("web")))
    assert parse_query(query_text(read, within), within) == read


@given(QUERIES)
def test_a_row_answers_alone_as_it_does_among_others(query: Query) -> None:
    together = select(query, fields=FIELDS, ground=Rows(0, 1, 2, 3))
    alone = [n for n in range(4) if select(query, fields=FIELDS, ground=Rows(n))]

    assert list(together) == alone


@given(QUERIES)
def test_a_query_and_its_contrary_share_all_rows_between_them(query: Query) -> None:
    ground = Rows(0, 1, 2, 3)
    yes = select(query, fields=FIELDS, ground=ground)
    no = select(No(query), fields=FIELDS, ground=ground)

    assert yes | no == ground.rows
    assert not yes & no


@given(st.text(max_size=40), st.integers(0, 50))
def test_every_text_is_read_or_refused_and_can_be_completed(text: str, position: int) -> None:
    found = complete(text, position, FIELDS)
    try:
        parse_query(text, FIELDS)
    except InvalidQuery as error:
        assert error.mistakes

    assert 0 <= found.start <= min(position, len(text))


@given(QUERIES, st.data())
def test_what_completes_a_field_makes_a_query_again(query: Query, data: st.DataObject) -> None:
    begun = f"{query_text(query, FIELDS)} and severity >= "
    found = complete(begun, len(begun), FIELDS)
    chosen = data.draw(st.sampled_from(found.suggestions))

    assert parse_query(begun + chosen.text, FIELDS)
