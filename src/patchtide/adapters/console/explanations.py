"""Why an update is required on a machine: its rules as trees, in words and with what they saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.machine_page import machine_id
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.updates import update_id
from patchtide.adapters.console.visits import Visit
from patchtide.domain.applicability.explanation import NOT_INSTALLED
from patchtide.server.explanations import ExplainedLeaf, ExplainedPart, ExplainedRule

FEW = 3
"""Packages that are not installed are shown at once when there are no more than these."""


@dataclass(slots=True)
class Branch:
    """A part of a rule with those below it; `folded` are packages that are not installed."""

    part: ExplainedPart
    below: list[Branch] = field(default_factory=list)
    folded: list[Branch] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tree:
    rule: ExplainedRule
    root: Branch


async def page(desk: Desk, visit: Visit) -> Reply:
    machine, update = machine_id(visit), update_id(visit)
    found = await desk.ask(visit, "explain", machine=machine, update=update)
    leaves = [(leaf, list(trees(leaf))) for leaf in found.leaves]
    return desk.page(visit, "explanation.html", found=found, leaves=leaves)


def trees(leaf: ExplainedLeaf) -> Iterator[Tree]:
    for rule in leaf.rules:
        yield Tree(rule, _tree(rule.parts))


def _tree(parts: Sequence[ExplainedPart]) -> Branch:
    """Return the parts, which come with their depths and top first, as they hang together."""
    root = Branch(parts[0])
    way = [root]
    for part in parts[1:]:
        branch = Branch(part)
        del way[part.depth :]
        way[-1].below.append(branch)
        way.append(branch)
    _fold(root)
    return root


def _fold(branch: Branch) -> None:
    absent = [x for x in branch.below if x.part.saw == NOT_INSTALLED]
    if len(absent) > FEW:
        branch.folded = absent
        branch.below = [x for x in branch.below if x.part.saw != NOT_INSTALLED]
    for below in branch.below:
        _fold(below)
