"""The reference of rules says nothing that the language does not understand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from patchtide.domain.catalog.rule_conditions import CONDITIONS
from patchtide.domain.catalog.rule_facts import FACTS, SUBJECTS
from patchtide.domain.catalog.rule_guide import COMBINATIONS, TESTS
from patchtide.domain.catalog.rule_guide import CONDITIONS as TOLD
from patchtide.domain.catalog.rule_mistakes import InvalidRule
from patchtide.domain.catalog.rule_parser import parse_rule
from patchtide.domain.catalog.rule_text import laid_out, rule_text
from patchtide.domain.catalog.rule_values import BETWEEN, MATCHES
from patchtide.domain.catalog.rules import And, Comparison, Or, Unsupported, nodes
from patchtide.wire.rules import encode_rule

PAGE = (Path(__file__).parents[4] / "docs/reference/rules.md").read_text()
GUIDE = [example for said in (*COMBINATIONS, *TOLD, *TESTS) for example in said.examples]
WRITTEN = re.findall(r"^```rule\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", [*GUIDE, *WRITTEN, *(fact.example for fact in FACTS.values())])
def test_every_example_is_a_rule_and_can_be_published(text: str) -> None:
    rule = parse_rule(text)

    if not any(isinstance(node, Unsupported) for node in nodes(rule)):
        encode_rule(rule)


@pytest.mark.parametrize("text", [e for said in (*TOLD, *TESTS) for e in said.examples])
def test_examples_of_conditions_are_in_canonical_text(text: str) -> None:
    rule = parse_rule(text)

    assert not isinstance(rule, And | Or)
    assert rule_text(rule) == text


def test_every_word_that_a_condition_begins_with_is_told_of() -> None:
    told = {text.split()[0] for said in TOLD for text in said.examples} | set(SUBJECTS)

    assert told == set(CONDITIONS)


def test_every_test_is_told_of() -> None:
    assert [said.form.split("`")[1] for said in TESTS] == [
        *("=", "!=", "<", "<=", ">=", ">", BETWEEN, MATCHES)
    ]
    assert {said.form.split("`")[1] for said in TESTS} == {*Comparison, BETWEEN, MATCHES}


def test_every_fact_is_on_the_page_with_where_it_comes_from() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]

    for fact in FACTS.values():
        if fact.is_spoken:
            assert [row for row in rows if f"`{fact.example}`" in row and fact.collected in row]


def test_the_mistakes_that_the_page_shows_are_those_that_are_told() -> None:
    shown = next(block for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL))
    source = shown.splitlines()[1].strip()

    with pytest.raises(InvalidRule) as refused:
        parse_rule(source)

    assert "\n".join(refused.value.shown()) + "\n" == shown


def test_a_rule_of_the_page_that_is_laid_out_asks_the_same() -> None:
    for text in WRITTEN:
        rule = parse_rule(text)
        assert parse_rule("\n".join(laid_out(rule, width=20))) == rule
