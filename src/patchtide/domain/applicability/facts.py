"""What a machine says of itself, as far as rules ask. What was not collected is None or absent.

"Not collected" and "not there" are different facts: the first makes a rule's verdict unknown,
the second false.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from patchtide.domain.catalog.rule_facts import FACTS
from patchtide.domain.catalog.rules import ASKS_FACTS, FactIs, PackageFormat, Rule, nodes


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """One installed instance of a package."""

    version: str
    architecture: str


class Asked(NamedTuple):
    """A fact that is gathered only because a rule asks for it: its name, and of what."""

    fact: str
    keys: tuple[str, ...]


Answer = tuple[str, ...]
"""What a fact says: one text, or nothing where it is not there. Yes is `("yes",)`, no is `()`."""
YES: Answer = ("yes",)
NO: Answer = ()

Packages = Mapping[str, tuple[InstalledPackage, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A machine's facts. `packages` has an entry for each package database that was read.

    `modules` says which stream each package module follows; where there are no modules, none does.
    `answers` holds what was asked for and could be found out, if only that it is not there.
    """

    os_id: str | None = None
    os_version: str | None = None
    architecture: str | None = None
    modules: Mapping[str, str] | None = None
    language: str | None = None
    kernel: str | None = None
    packages: Mapping[PackageFormat, Packages] = field(default_factory=dict)
    answers: Mapping[Asked, Answer] = field(default_factory=dict)


def asked_by(rule: Rule) -> frozenset[Asked]:
    """Return what must be gathered for this rule, beyond what every machine tells."""
    if not rule.traits & ASKS_FACTS:
        return frozenset()
    return frozenset(
        Asked(node.fact, node.keys)
        for node in nodes(rule)
        if isinstance(node, FactIs) and FACTS[node.fact].is_asked
    )


def by_name(rows: Iterable[tuple[str, str, str]]) -> Packages:
    """Index (name, version, architecture) rows of a package database."""
    found: dict[str, list[InstalledPackage]] = {}
    for name, version, architecture in rows:
        found.setdefault(name, []).append(InstalledPackage(version, architecture))
    return {name: tuple(instances) for name, instances in found.items()}
