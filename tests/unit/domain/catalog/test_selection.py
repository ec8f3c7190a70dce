"""What a site takes of a feed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from patchtide.domain.catalog.details import Classification, FeedUpdate, Severity, UpdateDetails
from patchtide.domain.catalog.selection import Choice, Selection, chosen
from tests.simulator.catalogs import some_details

TOY = replace(
    some_details("toy", severity=Severity.LOW), also_for=("Debian 13",), languages=("pt-BR",)
)

CHOICES = {
    "nothing named": (Choice(), TOY, True),
    "its product": (Choice(products=frozenset({"Debian 12"})), TOY, True),
    "another of its products": (Choice(products=frozenset({"Debian 13"})), TOY, True),
    "a product it is not for": (Choice(products=frozenset({"Debian 11"})), TOY, False),
    "its kind": (Choice(classifications=frozenset({Classification.SECURITY})), TOY, True),
    "another kind": (Choice(classifications=frozenset({Classification.DRIVER})), TOY, False),
    "another severity": (Choice(severities=frozenset({Severity.CRITICAL})), TOY, False),
    "any severity, of one that is not rated": (
        Choice(severities=frozenset({Severity.CRITICAL})),
        replace(TOY, severity=Severity.NONE),
        True,
    ),
    "the language without its country": (Choice(languages=frozenset({"PT"})), TOY, True),
    "the language of another country": (Choice(languages=frozenset({"pt-PT"})), TOY, False),
    "a language, of one that is for all": (
        Choice(languages=frozenset({"de"})),
        replace(TOY, languages=()),
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("choice", "details", "is_taken"), CHOICES.values(), ids=CHOICES)
def test_a_choice_takes(choice: Choice, details: UpdateDetails, is_taken: bool) -> None:
    assert choice.takes(details) is is_taken


def test_a_feed_without_a_choice_of_its_own_has_that_of_all_others() -> None:
    none = Choice(products=frozenset({"nothing"}))
    selection: Selection = {"": none, "debian-security": Choice()}
    mine = FeedUpdate(details=TOY, leaves=())
    other = FeedUpdate(details=replace(TOY, feed="other"), leaves=())

    assert chosen([mine, other], selection) == (mine,)
    assert chosen([mine, other], {"debian-security": none}) == (other,)
