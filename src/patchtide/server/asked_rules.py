"""Rules of an update that is not published yet, as somebody asks about them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rule_mistakes import InvalidRule
from patchtide.domain.catalog.rule_parser import parse_rule
from patchtide.domain.catalog.rules import Rule
from patchtide.domain.catalog.updates import Origin, Revision, UpdateId, UpdateNumber
from patchtide.domain.errors import InvalidDocument, Problem

NUMBER = UpdateNumber(2**32 - 1)
"""The last there is, so that no rule that names another update means this one."""
LONGEST = 1 << 16


RuleText = Annotated[
    str, Meta(max_length=LONGEST, description="The rule: on which machines it is needed.")
]
Prerequisite = Annotated[
    str, Meta(max_length=LONGEST, description="A rule: on which it is looked at.")
]
Installed = Annotated[
    str, Meta(max_length=LONGEST, description="A rule: on which it is there already.")
]


def leaf_asked(*, rule: str, prerequisite: str, installed: str) -> Leaf:
    """Return the leaf that these rules would make.

    Raises:
        InvalidDocument: with every mistake in any of them, and its place.
    """
    texts = {"rule": rule, "prerequisite": prerequisite, "installed": installed}
    rules: dict[str, Rule] = {}
    problems: list[Problem] = []
    for name, text in texts.items():
        try:
            rules[name] = parse_rule(text)
        except InvalidRule as error:
            problems += [Problem(f"{name} {p.where}", p.what) for p in error.problems]
    if problems:
        raise InvalidDocument(problems)
    return Leaf(
        number=NUMBER,
        revision=Revision(1),
        update=UpdateId(UUID(int=0)),
        prerequisite=rules["prerequisite"],
        applicable=rules["rule"],
        installed=rules["installed"],
        origin=Origin(""),
    )
