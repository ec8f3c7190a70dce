"""One leaf asked of many machines: what it needs to know, and where it stands by that alone.

Facts are cut down to what the rules name. Machines that differ in nothing else are then one case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from patchtide.domain.applicability.evaluation import LeafState, States
from patchtide.domain.applicability.explanation import (
    NOT_COLLECTED,
    Explanation,
    explain,
)
from patchtide.domain.applicability.facts import Asked, Facts
from patchtide.domain.applicability.scan import Scan, WhyUnknown, evaluate_shard
from patchtide.domain.applicability.wording import QUESTIONS
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rule_facts import FACTS
from patchtide.domain.catalog.rule_text import part_text
from patchtide.domain.catalog.rules import FactIs, ModuleStream, PackageInstalled, nodes
from patchtide.domain.catalog.updates import Evaluator, UpdateNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a leaf stands. `rules` is empty when something other than rules decides."""

    leaf: Leaf
    state: LeafState
    why_unknown: WhyUnknown | None
    rules: Mapping[str, Explanation]


@dataclass(frozen=True, slots=True)
class Question:
    """A leaf, and the others whose state its rules ask for, with those that they ask for.

    `published` says which shard each of the others is in: a machine that does not follow it has
    never heard of the leaf.
    """

    leaf: Leaf
    others: Sequence[Leaf] = ()
    published: Mapping[UpdateNumber, str] = field(default_factory=dict)
    packages: frozenset[str] = field(init=False)
    """Names of the packages that any of the rules is about."""
    asked: frozenset[Asked] = field(init=False)
    modules: frozenset[str] = field(init=False)
    usual: frozenset[str] = field(init=False)
    """Which of the facts that every machine tells are asked for: `kernel`, `language`."""

    def __post_init__(self) -> None:
        rules = [rule for leaf in (self.leaf, *self.others) for rule in leaf.rules]
        named = [node for rule in rules for node in nodes(rule)]
        of_facts = [node for node in named if isinstance(node, FactIs)]
        packages = {node.name for node in named if isinstance(node, PackageInstalled)}
        packages |= {node.keys[0] for node in of_facts if _is_of_package(node)}
        asked = {Asked(node.fact, node.keys) for node in of_facts if FACTS[node.fact].is_asked}
        modules = {node.name for node in named if isinstance(node, ModuleStream)}
        object.__setattr__(self, "packages", frozenset(packages))
        object.__setattr__(self, "asked", frozenset(asked))
        object.__setattr__(self, "modules", frozenset(modules))
        object.__setattr__(self, "usual", frozenset(node.fact for node in of_facts))

    @property
    def shards(self) -> frozenset[str]:
        return frozenset(self.published.values())

    def narrowed(self, facts: Facts) -> Facts:
        """Return as much of the facts as can make a difference."""
        modules = facts.modules
        return replace(
            facts,
            language=facts.language if "language" in self.usual else None,
            kernel=facts.kernel if "kernel" in self.usual else None,
            modules=None
            if modules is None
            else {name: stream for name, stream in modules.items() if name in self.modules},
            packages={
                kind: {name: packages[name] for name in self.packages if name in packages}
                for kind, packages in facts.packages.items()
            },
            answers={key: facts.answers[key] for key in self.asked if key in facts.answers},
        )

    def scan(self, facts: Facts, *, followed: frozenset[str] | None = None) -> Scan:
        """Return the states. `followed`: the machine's shards; None: as if it followed all."""
        others = [
            leaf
            for leaf in self.others
            if followed is None or self.published[leaf.number] in followed
        ]
        return evaluate_shard([self.leaf, *others], facts)

    def state(self, facts: Facts, *, followed: frozenset[str] | None = None) -> LeafState:
        return self.scan(facts, followed=followed).states[self.leaf.number]

    def standing(self, facts: Facts, *, followed: frozenset[str] | None = None) -> Standing:
        """Return where the leaf stands, with every part of its rules."""
        scan = self.scan(facts, followed=followed)
        return standing(self.leaf, facts, scan)


def standing(leaf: Leaf, facts: Facts, scan: Scan) -> Standing:
    return Standing(
        leaf=leaf,
        state=scan.states[leaf.number],
        why_unknown=scan.why_unknown.get(leaf.number),
        rules=_explained(leaf, facts, scan.states),
    )


def _explained(leaf: Leaf, facts: Facts, states: States) -> Mapping[str, Explanation]:
    if leaf.evaluator is not Evaluator.RULES:
        return {}
    return {
        name: explain(rule, facts, states=states)
        for name, rule in zip(QUESTIONS, leaf.rules, strict=True)
    }


def lacking(found: Standing) -> Iterator[str]:
    """Yield what was asked for and not collected, as the rule says it."""
    for rule in found.rules.values():
        for part in rule.walk():
            if part.verdict is None and not part.parts and part.seen == NOT_COLLECTED:
                yield part_text(part.rule)


def _is_of_package(node: FactIs) -> bool:
    declared = FACTS[node.fact]
    return declared.subject in ("deb", "rpm", "msi")
