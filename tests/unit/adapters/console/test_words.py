"""Times, numbers, bars and names as people read them."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib import resources

import pytest

from patchtide.adapters.console import words
from patchtide.adapters.console.done_words import done
from patchtide.adapters.console.mistakes import sentence
from patchtide.adapters.console.rendering import BAR, ago, ahead, number, percent, size, widths
from patchtide.adapters.console.visits import local_path
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.details import Classification, Severity
from patchtide.domain.compliance.judgement import Compliance, Doubt
from patchtide.domain.errors import Problem
from patchtide.server.operations import OPERATIONS
from patchtide.server.ports.clients import ClientState
from tests.simulator.clock import START


def test_everything_that_a_page_names_has_a_word() -> None:
    assert {state.value for state in LeafState} == set(words.STATES)
    assert {doubt.value for doubt in Doubt} == set(words.DOUBTS)
    assert {severity.value for severity in Severity} == set(words.SEVERITIES)
    assert {kind.value for kind in Classification} == set(words.CLASSIFICATIONS) - {""}
    states = {state.value for state in ClientState} - {"active"}
    assert {value.value for value in Compliance} | states == set(words.STANDINGS)


def test_every_decision_that_people_take_has_a_word() -> None:
    decided = {o.name for o in OPERATIONS if o.audited and o.handler is not None}

    assert decided - set(words.DECISIONS) == set()


def test_all_that_can_be_proposed_has_words() -> None:
    assert {o.name for o in OPERATIONS if o.four_eyes is not None} == set(words.PROPOSED)


@pytest.mark.parametrize(
    ("span", "past", "future"),
    [
        (timedelta(seconds=5), "just now", "in less than a minute"),
        (timedelta(seconds=61), "1 minute ago", "in 1 minute"),
        (timedelta(hours=5), "5 hours ago", "in 5 hours"),
        (timedelta(days=1000), "1\N{NARROW NO-BREAK SPACE}000 days ago", None),
    ],
)
def test_a_time_is_told_in_one_unit(span: timedelta, past: str, future: str | None) -> None:
    assert ago(START - span, START) == past
    if future:
        assert ahead(START + span, START) == future


def test_a_share_is_never_rounded_to_all_or_to_nothing() -> None:
    thin = "\N{NARROW NO-BREAK SPACE}%"

    assert [percent(1, 1000), percent(999, 1000), percent(1, 2), percent(0, 0)] == [
        f"<1{thin}", f">99{thin}", f"50{thin}", "\N{EN DASH}",
    ]  # fmt: skip


def test_sizes_are_told_in_the_unit_that_fits() -> None:
    assert [size(0), size(1023), size(1536), size(4 << 30)] == [
        "0 bytes", "1023 bytes", "1.5 KiB", "4.0 GiB",
    ]  # fmt: skip


def test_a_part_of_a_bar_that_exists_is_seen_and_the_whole_is_full() -> None:
    drawn = widths([("a", 1, ""), ("b", 0, ""), ("c", 10**6, "")])

    assert [name for name, _, _ in drawn] == ["a", "c"]
    assert drawn[0][2] >= 10 and drawn[-1][1] + drawn[-1][2] == BAR
    assert widths([("a", 0, "")]) == []


def test_big_numbers_are_parted() -> None:
    assert number(1234567) == "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567"


@pytest.mark.parametrize(
    "said", ["", "approve", "approve-", "approve-x", "<b>-3", "approve-\N{SUPERSCRIPT TWO}"]
)
def test_an_address_cannot_put_words_into_the_consoles_mouth(said: str) -> None:
    assert done(said) == ""
    assert done("approve-1") == "1 machine approved."
    assert done("make-collection-1") == "Collection made."


@pytest.mark.parametrize(
    ("where", "what", "said"),
    [
        ("name", "is missing", "The name is missing."),
        ("length_min", "is at most 10080", "Minutes it is open: at most 10080."),
        ("ends", "a freeze ends after it begins", "End: a freeze ends after it begins."),
        (
            "holidays[1]",
            "is a day, as 2026-12-24",
            "The holidays, line 2, is a day, as 2026-12-24.",
        ),
    ],
)
def test_a_mistake_is_a_sentence_in_the_words_of_the_form(where: str, what: str, said: str) -> None:
    assert sentence(Problem(where, what)) == said


@pytest.mark.parametrize("address", ["", "//x", "/\\x", "https://x", "/a\nb", "/a b", "x"])
def test_a_way_back_stays_on_this_host(address: str) -> None:
    assert local_path(address) == "/" and local_path("/machines?q=a%20b") == "/machines?q=a%20b"


def test_no_template_switches_escaping_off_or_carries_script_or_style_of_its_own() -> None:
    banned = re.compile(r"\|\s*safe\b|autoescape|\sstyle=|<style|\son[a-z]+=|hx-on")
    for file in (resources.files("patchtide.adapters.console") / "templates").iterdir():
        assert banned.findall(file.read_text()) == [], file.name
