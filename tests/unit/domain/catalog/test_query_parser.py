"""The text of queries: what is understood, what is said of mistakes, and how it may go on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from patchtide.domain.catalog.queries import (
    All,
    Asked,
    Either,
    Everything,
    Mentions,
    No,
    Operator,
    Query,
)
from patchtide.domain.catalog.query_completion import complete
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.catalog.update_query import UPDATE_FIELDS
from patchtide.domain.compliance.machine_query import MACHINE_FIELDS

EXPIRED = Asked("expired", Operator.HOLDS)


def parsed(text: str) -> Query:
    return parse_query(text, UPDATE_FIELDS)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", Everything()),
        ("  # nothing", Everything()),
        ("openssl", Mentions("openssl")),
        ('"expired"', Mentions("expired")),
        ("expired", EXPIRED),
        ("not expired", No(EXPIRED)),
        ("severity >= IMPORTANT", Asked("severity", Operator.AT_LEAST, ("important",))),
        ("state = installed", Asked("state", Operator.IS, ("installed",))),
        ("installed > 007", Asked("installed", Operator.MORE, ("7",))),
        ("age < 2w", Asked("age", Operator.LESS, ("14",))),
        ("age between 1d and 1w", Asked("age", Operator.BETWEEN, ("1", "7"))),
        ("risk in (low, high)", Asked("risk", Operator.IN, ("low", "high"))),
        ('product != "a b"', Asked("product", Operator.IS_NOT, ("a b",))),
        ("curl expired", All((Mentions("curl"), EXPIRED))),
        ("a b or c", Either((All((Mentions("a"), Mentions("b"))), Mentions("c")))),
        ("any of (a, b)", Either((Mentions("a"), Mentions("b")))),
        ("all of (a)", Mentions("a")),
        ("title contains between", None),
    ],
)
def test_a_query_means_what_it_says(text: str, meant: Query | None) -> None:
    if meant is None:
        with pytest.raises(InvalidQuery):
            parsed(text)
    else:
        assert parsed(text) == meant


def test_all_mistakes_are_told_at_once_each_with_a_mark_under_its_place() -> None:
    with pytest.raises(InvalidQuery) as caught:
        parsed("severty = a and (age > 3 or risk == low) and state = requird")

    assert list(caught.value.shown()) == [
        "line 1, column 1: there is no field `severty`; did you mean `severity`?",
        "  severty = a and (age > 3 or risk == low) and state = requird",
        "  ^^^^^^^",
        "line 1, column 24: `age` is counted in days or weeks; as `30d` or `4w`",
        "  severty = a and (age > 3 or risk == low) and state = requird",
        "                         ^",
        "line 1, column 34: `risk` cannot be asked `==`; equal is `=`",
        "  severty = a and (age > 3 or risk == low) and state = requird",
        "                                   ^^",
        "line 1, column 54: `requird` is no `state`; did you mean `required`?",
        "  severty = a and (age > 3 or risk == low) and state = requird",
        "                                                       ^^^^^^^",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("severity", "what is asked of `severity` is missing"),
        ("title contains", "a value of `title` is missing here"),
        ("age between 1d, 2d", "`between` is followed by two values"),
        ("cve in a", "`in` is followed by a list in parentheses"),
        ("cve in (a b)", "this list goes on with `,` or ends with `)`"),
        ("required > -1", "`required` is a whole number"),
        ("(expired", "this parenthesis is never closed"),
        ("expired and", "a condition is missing here"),
        ("a, b", "a comma stands only in a list"),
        ("curl or not deployed", "there are no deployments yet"),
        ('"open', "this quote is never closed"),
        ("x" * 4097, "at most 4096 characters"),
        ("a " * 16 + "and not (b or " + "expired " * 16 + ")", "at most 32 conditions"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, told: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parsed(text)

    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("package", "of which package is missing behind `package`; as `package(package)`"),
        ("package(a b)", "`package(` takes one package and ends with `)`"),
        ("pakage(openssl) < 3", "there is no field `pakage`; did you mean `package`?"),
        ("name:web-*", "`name` is followed by an operator, not by a colon; say `=`, `!=`, "),
        ("name = web-*", "`*` does not stand for other letters; as `name contains web-`"),
        ('owner contains ""', "a value of `owner` is empty"),
        ('arch = ""', "a value of `arch` is empty"),
        ("address = 10.1", "`address` is an address or a network; as `10.1.0.7` or `10.1.0.0/16`"),
    ],
)
def test_what_is_wrong_with_a_query_over_machines_is_named(text: str, told: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse_query(text, MACHINE_FIELDS)

    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("package", "package"),
        ("package ", "("),
        ("package(cu", "curl"),
        ("package(curl) ", "="),
        ("package(curl) and arch = ", "amd64"),
        ("arch in (", "amd64"),
    ],
)
def test_what_may_come_next_in_a_query_over_machines_is_offered(text: str, first: str) -> None:
    known = {"package": ["bash", "curl"], "arch": ["amd64"]}

    assert complete(text, len(text), MACHINE_FIELDS, known=known).suggestions[0].text == first


def test_every_field_of_machines_is_in_the_guide() -> None:
    guide = Path("docs/user/machines-by-query.md").read_text("utf-8")
    told = {word.partition("(")[0] for word in re.findall(r"[a-z-]+(?:\(NAME\))?", guide)}

    assert MACHINE_FIELDS.keys() <= told


@pytest.mark.parametrize(
    ("text", "start", "first"),
    [
        ("", 0, "title"),
        ("sev", 0, "severity"),
        ("severity ", 9, "="),
        ("severity >= ", 12, "none"),
        ("severity >= im", 12, "important"),
        ("severity >= important ", 22, "and"),
        ("risk in (low, ", 14, "low"),
        ("risk between low and e", 21, "emergency"),
        ("not ex", 4, "exploited"),
        ("(expired or sta", 12, "state"),
        ("product = ", 10, '"Debian 12"'),
        ('product = "deb', 10, '"Debian 12"'),
        ("age > ", 6, "7d"),
        ("state = required ", 17, "and"),
    ],
)
def test_a_query_is_completed_where_it_stands(text: str, start: int, first: str) -> None:
    known = {"product": ["Debian 12", "Debian 13"]}

    found = complete(text + " # behind", len(text), UPDATE_FIELDS, known=known)

    assert (found.start, found.suggestions[0].text) == (start, first)
