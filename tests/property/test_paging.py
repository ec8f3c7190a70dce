"""Whoever pages through a list that changes under him misses nothing and meets nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.errors import InvalidDocument
from patchtide.server.listing import Column, paged


@dataclass(frozen=True)
class Row:
    id: int
    value: int


COLUMNS: Mapping[str, Column[Row]] = {
    "value": Column(lambda row: (-row.value, str(row.id)), tuple[int, str])
}
ids, values = st.integers(0, 15), st.integers(0, 3)
lists = st.dictionaries(ids, values, max_size=16)
changes = st.lists(st.dictionaries(ids, st.none() | values, max_size=6), max_size=20)


@given(lists, changes, st.sampled_from(["value", "-value"]), st.integers(1, 5))
def test_what_does_not_change_is_met_exactly_once_whatever_changes_beside_it(
    rows: dict[int, int], changes: list[dict[int, int | None]], sort: str, limit: int
) -> None:
    met: Counter[int] = Counter()
    touched: set[int] = set()
    after: str | None = ""
    steps = iter(changes)
    while after is not None:
        found = [Row(key, value) for key, value in rows.items()]
        page = paged(found, columns=COLUMNS, sort=sort, after=after, limit=limit)
        met.update(row.id for row in page.items)
        after = page.next
        for key, value in next(steps, {}).items() if after is not None else ():
            touched.add(key)
            rows.pop(key, None)
            if value is not None:
                rows[key] = value

    assert all(met[key] == 1 for key in rows if key not in touched)


@given(lists, st.sampled_from(["value", "-value"]), st.integers(1, 5))
def test_pages_put_together_are_the_list(rows: dict[int, int], sort: str, limit: int) -> None:
    found = [Row(key, value) for key, value in rows.items()]
    met: list[Row] = []
    after: str | None = ""
    while after is not None:
        page = paged(found, columns=COLUMNS, sort=sort, after=after, limit=limit)
        met += page.items
        after = page.next

    assert met == list(paged(found, columns=COLUMNS, sort=sort, after="", limit=99).items)


@given(st.text(min_size=1, max_size=30) | st.binary(max_size=30).map(lambda b: b.hex() + "="))
def test_whatever_is_no_cursor_is_refused_and_nothing_else_happens(said: str) -> None:
    with pytest.raises(InvalidDocument, match="after"):
        paged([Row(1, 1)], columns=COLUMNS, sort="value", after=said, limit=1)
