"""Why a rule says what it says: the fact that each of its parts saw, and its verdict.

Unlike an evaluation this visits every part, also those that could not change the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from patchtide.domain.applicability.evaluation import (
    Ground,
    States,
    Verdict,
    answer,
    verdict_on,
)
from patchtide.domain.applicability.facts import Facts
from patchtide.domain.catalog.rule_facts import FACTS
from patchtide.domain.catalog.rule_values import KINDS
from patchtide.domain.catalog.rules import (
    Always,
    And,
    Architecture,
    FactIs,
    InstalledLeaf,
    ModuleStream,
    Never,
    Not,
    OperatingSystem,
    Or,
    PackageFormat,
    PackageInstalled,
    Rule,
    Unsupported,
    parts,
)

NOT_COLLECTED = "not collected"
NOT_INSTALLED = "not installed"
NO_STREAM = "follows no stream"
NOT_THERE = "not there"
_PACKAGES = frozenset(f"{kind.value}.version" for kind in PackageFormat)
NEVER_WORKED = "never configured"
"""Of a package that was unpacked, and whose scripts have not run through once."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One part of a rule; `seen` is empty where the parts below say it all."""

    rule: Rule
    verdict: Verdict
    seen: str
    parts: tuple[Explanation, ...] = ()

    def walk(self) -> Iterator[Explanation]:
        """Yield this and everything below, top first."""
        yield self
        for part in self.parts:
            yield from part.walk()


def explain(rule: Rule, facts: Facts, *, states: States | None = None) -> Explanation:
    """Return the rule's verdict with every part's own."""
    return _explain(rule, Ground(facts, states or {}))


def _explain(rule: Rule, ground: Ground) -> Explanation:
    below = tuple(_explain(part, ground) for part in parts(rule))
    return Explanation(rule, verdict_on(rule, ground), _seen(rule, ground), below)


def _seen(rule: Rule, ground: Ground) -> str:
    match rule:
        case PackageInstalled():
            return _seen_package(rule, ground.facts)
        case OperatingSystem():
            return _seen_system(ground.facts)
        case Architecture():
            return ground.facts.architecture or NOT_COLLECTED
        case ModuleStream(name, _):
            return _seen_module(name, ground.facts)
        case FactIs():
            return _seen_fact(rule, ground.facts)
        case InstalledLeaf(number):
            state = ground.states.get(number)
            return state.value if state else "not in the catalog"
        case Unsupported(operator):
            return f"operator {operator!r} is not known here"
        case Always() | Never() | And() | Or() | Not():
            return ""
        case _:
            assert_never(rule)


def _seen_package(rule: PackageInstalled, facts: Facts) -> str:
    packages = facts.packages.get(rule.format)
    if packages is None:
        return NOT_COLLECTED
    instances = packages.get(rule.name, ())
    found = (f"{i.version or NEVER_WORKED} ({i.architecture})" for i in instances)
    return ", ".join(found) or NOT_INSTALLED


def _seen_module(name: str, facts: Facts) -> str:
    if facts.modules is None:
        return NOT_COLLECTED
    return facts.modules.get(name, NO_STREAM)


def _seen_fact(rule: FactIs, facts: Facts) -> str:
    said, declared = answer(rule, facts), FACTS[rule.fact]
    if declared.subject == "os":
        return _seen_system(facts)
    if said is None:
        return NOT_COLLECTED
    if declared.is_flag:
        return "yes" if said else "no"
    key = KINDS[declared.kind].key
    shown = (
        text if key(text) is not None else f"{text} (no {declared.kind.value})" for text in said
    )
    return ", ".join(shown) or (NOT_INSTALLED if rule.fact in _PACKAGES else NOT_THERE)


def _seen_system(facts: Facts) -> str:
    if facts.os_id is None:
        return NOT_COLLECTED
    return f"{facts.os_id} {facts.os_version or '(version ' + NOT_COLLECTED + ')'}"
