"""How updates of one's own would stand on this machine: evaluated here, nothing installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from patchtide.adapters.platforms.machines import LinuxPlatform, linux_machine
from patchtide.adapters.platforms.simulated import SimulatedPlatform, read_machine
from patchtide.adapters.publisher.folder import Definition
from patchtide.agent.catalog import facts_for
from patchtide.domain.applicability.evaluation import Verdict
from patchtide.domain.applicability.explanation import Explanation, explain
from patchtide.domain.applicability.facts import Facts
from patchtide.domain.applicability.scan import Scan, evaluate_shard
from patchtide.domain.catalog.custom import feed_update
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rule_text import part_text
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.errors import InvalidDocument, Problem

_HIGHEST = 2**32 - 1
"""Numbers from above: rules that name another update by its number mean none of these."""
WORDS: Mapping[Verdict, str] = {True: "yes", False: "no", None: "unknown"}


def tried(definitions: Sequence[Definition], platform: str) -> Mapping[str, Any]:
    """Return how each update stands on the machine, with every part of its rules.

    Raises:
        InvalidDocument: there is no such platform, or its file describes no machine.
    """
    machine = _machine(platform)
    leaves = [
        (definition.update.id, replace(leaf, number=UpdateNumber(_HIGHEST - position)))
        for position, definition in enumerate(definitions)
        for leaf in feed_update(definition.update).leaves
    ]
    facts = facts_for([leaf for _, leaf in leaves], machine)
    scan = evaluate_shard([leaf for _, leaf in leaves], facts)
    rules = [row for name, leaf in leaves for row in _rules(name, leaf, facts=facts, scan=scan)]
    return {"items": [_standing(name, leaf, scan) for name, leaf in leaves], "rules": rules}


def _machine(platform: str) -> LinuxPlatform | SimulatedPlatform:
    kind, _, where = platform.partition(":")
    if kind == "simulated" and where:
        return read_machine(Path(where))
    if kind in ("auto", "apt", "dnf"):
        return linux_machine(platform)
    words = "auto, apt or dnf, each with a :ROOT or without, or simulated:FILE"
    raise InvalidDocument([Problem("platform", f"is {words}")])


def _standing(name: str, leaf: Leaf, scan: Scan) -> Mapping[str, Any]:
    why = scan.why_unknown.get(leaf.number)
    return {
        "id": name,
        "title": leaf.title,
        "state": scan.states[leaf.number].value,
        "why_unknown": why.value if why else None,
    }


def _rules(name: str, leaf: Leaf, *, facts: Facts, scan: Scan) -> Iterator[Mapping[str, Any]]:
    named = ("prerequisite", "applicable", "installed")
    for which, rule in zip(named, leaf.rules, strict=True):
        for depth, part in _parts(explain(rule, facts, states=scan.states)):
            yield {
                "id": name,
                "rule": which,
                "says": f"{'  ' * depth}{part_text(part.rule)}",
                "verdict": WORDS[part.verdict],
                "saw": part.seen,
            }


def _parts(said: Explanation, depth: int = 0) -> Iterator[tuple[int, Explanation]]:
    yield depth, said
    for part in said.parts:
        yield from _parts(part, depth + 1)
