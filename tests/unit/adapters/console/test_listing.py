"""What a list does with its rows: search, filters, order, pages, export."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from patchtide.adapters.console.listing import PAGE, Shape


@dataclass(frozen=True)
class Row:
    name: str
    colour: str = "red"
    weight: int | None = 0


SHAPE: Shape[Row] = Shape(
    name="rows",
    text=lambda r: f"{r.name} {r.colour}",
    sorts={"name": lambda r: r.name, "weight": lambda r: r.weight},
    sort="name",
    filters={"colour": lambda r: r.colour, "heavy": lambda r: "yes" if r.weight else "no"},
    cells={"name": lambda r: r.name, "weight": lambda r: r.weight},
)
ROWS = [Row("b", "red", 1), Row("a", "blue", None), Row("c", "red", 0), Row("d", "blue", 2)]


def names(values: Mapping[str, str]) -> str:
    return "".join(r.name for r in SHAPE.page(ROWS, SHAPE.asked("/rows", values)).rows)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "abcd"),
        ({"sort": "-name"}, "dcba"),
        ({"sort": "weight"}, "cbda"),
        ({"sort": "-weight"}, "dbca"),
        ({"sort": "nonsense"}, "bacd"),
        ({"q": "BLUE"}, "ad"),
        ({"q": "blue d"}, "d"),
        ({"colour": "red"}, "bc"),
        ({"colour": "red", "heavy": "yes"}, "b"),
        ({"colour": "green"}, ""),
        ({"page": "99"}, "abcd"),
        ({"page": "-1"}, "abcd"),
    ],
)
def test_a_list_shows_what_its_address_says(values: dict[str, str], expected: str) -> None:
    assert names(values) == expected


def test_what_nobody_knows_comes_last_in_either_direction() -> None:
    assert names({"sort": "weight"})[-1] == names({"sort": "-weight"})[-1] == "a"


def test_a_choice_says_how_many_it_would_leave_beside_the_others_made() -> None:
    listed = SHAPE.page(ROWS, SHAPE.asked("/rows", {"colour": "red", "heavy": "yes"}))

    assert (listed.count("colour", "red"), listed.count("colour", "blue")) == (1, 1)
    assert (listed.count("heavy", "no"), listed.every("heavy")) == (1, 2)


def test_pages_are_cut_and_another_choice_begins_at_the_first() -> None:
    rows = [Row(f"{n:03}") for n in range(PAGE * 2 + 1)]
    asked = SHAPE.asked("/rows", {"page": "3", "q": "1 0"})
    listed = SHAPE.page(rows, SHAPE.asked("/rows", {"page": "3"}))

    assert (listed.first, listed.last, listed.pages, listed.total) == (101, 101, 3, 101)
    assert asked.to(colour="red") == "/rows?q=1+0&colour=red"


def test_a_click_on_a_column_sorts_in_its_own_direction_first_and_then_turns_round() -> None:
    first = SHAPE.asked("/rows", {}).sorted_by("weight", falling=True)
    again = SHAPE.asked("/rows", {"sort": "-weight"}).sorted_by("weight", falling=True)

    assert (first, again) == ("/rows?sort=-weight", "/rows?sort=weight")


def test_an_export_holds_all_that_is_chosen_and_not_only_the_page() -> None:
    rows = [Row(f"{n:03}") for n in range(PAGE * 2)]
    reply = SHAPE.export(rows, SHAPE.asked("/rows", {"q": "0"}), "json")

    assert [row["name"] for row in json.loads(reply.body)] == [
        r.name for r in rows if "0" in r.name
    ]
    assert dict(reply.headers)["content-disposition"] == 'attachment; filename="rows.json"'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_no_cell_of_an_export_is_computed_by_a_spreadsheet(text: str) -> None:
    reply = SHAPE.export([Row(text)], SHAPE.asked("/rows", {}), "csv")

    [_, row] = csv.reader(io.StringIO(reply.body.decode(), newline=""))
    assert row[0] == f"'{text}"
