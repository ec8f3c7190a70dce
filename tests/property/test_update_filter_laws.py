"""Laws of filters of updates: a choice is what a query says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.catalog.update_filters import UPDATE_FILTERS, Filter, chosen, narrowed
from patchtide.domain.catalog.update_query import UPDATE_FIELDS

QUERIES = st.sampled_from(
    (
        "",
        "curl",
        "severity = low",
        "severity = low and required > 0",
        "superseded or expired",
        "not (superseded or expired) and risk = high",
        "required = 0 curl",
    )
)
VALUES = {
    "needed": ("yes", "no"),
    "severity": ("low", "critical"),
    "risk": ("high",),
    "kind": ("security",),
    "feed": ("debian-security", "a b"),
    "product": ("Debian 12", "or"),
    "status": ("current", "superseded", "expired"),
}


@given(QUERIES, st.sampled_from(UPDATE_FILTERS), st.data())
def test_a_choice_is_made_read_back_and_taken_out_again(
    text: str, one: Filter, data: st.DataObject
) -> None:
    value = data.draw(st.sampled_from(VALUES[one.name]))
    query = parse_query(text, UPDATE_FIELDS)

    made = narrowed(query, one, value)
    back = parse_query(query_text(made, UPDATE_FIELDS), UPDATE_FIELDS)

    assert chosen(back, UPDATE_FILTERS)[one.name] == value
    assert one.name not in chosen(narrowed(back, one, ""), UPDATE_FILTERS)
    assert narrowed(made, one, value) == made
