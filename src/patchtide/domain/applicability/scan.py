"""A whole catalog against one machine: the state of each leaf.

| prerequisite and applicable | installed | state        |
| --------------------------- | --------- | ------------ |
| false                       | any       | not required |
| unknown                     | any       | unknown      |
| true                        | true      | installed    |
| true                        | false     | required     |
| true                        | unknown   | unknown      |

A leaf may ask for another leaf's state, so leaves are taken in the order of their dependencies.
Leaves that depend on each other in a circle are unknown, and those that ask for them see that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from patchtide.domain.applicability.evaluation import Ground, LeafState, States, Verdict, verdict_on
from patchtide.domain.applicability.facts import Asked, Facts, asked_by
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import ASKS_FACTS, HAS_UNSUPPORTED, NAMES_LEAVES, Rule
from patchtide.domain.catalog.updates import Evaluator, UpdateNumber


class WhyUnknown(StrEnum):
    """Why a leaf's state could not be told."""

    CIRCLE = "leaves-depend-on-each-other"
    EVALUATOR = "evaluator-not-at-hand"
    OPERATOR = "operator-not-known"
    LEAF = "other-leaf-unknown"
    FACTS = "facts-not-collected"


@dataclass(frozen=True, slots=True)
class Scan:
    """Each leaf's state, and for each unknown one why."""

    states: States
    why_unknown: Mapping[UpdateNumber, WhyUnknown]


Needs = Mapping[UpdateNumber, frozenset[UpdateNumber]]


def evaluate_shard(
    leaves: Iterable[Leaf], facts: Facts, *, elsewhere: States | None = None
) -> Scan:
    """Return the state of each leaf.

    Leaves of all shards that a machine follows go in together, for they may name each other.
    `elsewhere` holds the states of leaves that something else evaluates; a leaf that is neither
    among the leaves nor there is unknown to `installed(leaf)`.
    """
    by_number = {leaf.number: leaf for leaf in leaves}
    states: dict[UpdateNumber, LeafState] = dict(elsewhere or {})
    ground = Ground(facts, states)
    needs: dict[UpdateNumber, frozenset[UpdateNumber]] = {}
    for number, leaf in by_number.items():
        if leaf.evaluator is Evaluator.RULES:
            states.pop(number, None)
        if named := leaf.depends_on():
            needs[number] = named
        else:
            states[number] = _state(leaf, ground)
    circles = _settle(by_number, needs, ground=ground, states=states)
    why = {
        number: WhyUnknown.CIRCLE if number in circles else _why(by_number[number], ground)
        for number in by_number
        if states[number] is LeafState.UNKNOWN
    }
    return Scan({number: states[number] for number in by_number}, why)


def facts_asked(leaves: Iterable[Leaf], usual: Facts) -> frozenset[Asked]:
    """Return what must be gathered for these leaves, beyond the usual facts.

    For a leaf whose prerequisite is false by those already, nothing more can make a difference.
    """
    ground = Ground(usual, {})
    asked: set[Asked] = set()
    for leaf in leaves:
        asking = [rule for rule in leaf.rules if rule.traits & ASKS_FACTS]
        if not asking or leaf.evaluator is not Evaluator.RULES:
            continue
        if _on_prerequisite(leaf.prerequisite, ground) is not False:
            asked.update(*map(asked_by, asking))
    return frozenset(asked)


def _settle(
    by_number: Mapping[UpdateNumber, Leaf],
    needs: Needs,
    *,
    ground: Ground,
    states: dict[UpdateNumber, LeafState],
) -> set[UpdateNumber]:
    """Set the states of the leaves that name others; return those that stand in a circle."""
    circles: set[UpdateNumber] = set()
    for group in _groups(needs):
        if len(group) > 1 or group[0] in needs[group[0]]:
            circles.update(group)
            states.update(dict.fromkeys(group, LeafState.UNKNOWN))
        else:
            states[group[0]] = _state(by_number[group[0]], ground)
    return circles


def _state(leaf: Leaf, ground: Ground) -> LeafState:
    if leaf.evaluator is not Evaluator.RULES:
        return ground.states.get(leaf.number, LeafState.UNKNOWN)
    prerequisite = _on_prerequisite(leaf.prerequisite, ground)
    if prerequisite is False:
        return LeafState.NOT_REQUIRED
    applicable = verdict_on(leaf.applicable, ground)
    if applicable is False:
        return LeafState.NOT_REQUIRED
    if prerequisite is None or applicable is None:
        return LeafState.UNKNOWN
    installed = verdict_on(leaf.installed, ground)
    if installed is None:
        return LeafState.UNKNOWN
    return LeafState.INSTALLED if installed else LeafState.REQUIRED


def _on_prerequisite(rule: Rule, ground: Ground) -> Verdict:
    """Most leaves of a shard have the same one, as one object: its verdict is found once."""
    if rule.traits & NAMES_LEAVES:
        return verdict_on(rule, ground)  # other leaves' states are still coming in
    known = ground.known.get(id(rule))
    if known is None:
        known = ground.known[id(rule)] = (verdict_on(rule, ground),)
    return known[0]


def _why(leaf: Leaf, ground: Ground) -> WhyUnknown:
    if leaf.evaluator is not Evaluator.RULES:
        return WhyUnknown.EVALUATOR
    if any(rule.traits & HAS_UNSUPPORTED for rule in leaf.rules):
        return WhyUnknown.OPERATOR
    unsettled = (None, LeafState.UNKNOWN)
    if any(ground.states.get(number) in unsettled for number in leaf.depends_on()):
        return WhyUnknown.LEAF
    return WhyUnknown.FACTS


def _groups(needs: Needs) -> Iterator[list[UpdateNumber]]:
    """Yield the leaves so that each comes after those it needs, circles as one group.

    Tarjan's strongly connected components, with a stack of its own in place of recursion, so
    that a chain of any length is only slow and never too deep.
    """
    order: dict[UpdateNumber, int] = {}
    lowest: dict[UpdateNumber, int] = {}
    open_group: dict[UpdateNumber, None] = {}
    for start in needs:
        if start in order:
            continue
        path: list[tuple[UpdateNumber, Iterator[UpdateNumber]]] = []
        _enter(start, needs, order=order, lowest=lowest, open_group=open_group, path=path)
        while path:
            number, rest = path[-1]
            following = next((n for n in rest if n in needs), None)
            if following is None:
                path.pop()
                if path:
                    before = path[-1][0]
                    lowest[before] = min(lowest[before], lowest[number])
                if lowest[number] == order[number]:
                    yield _close(number, open_group)
            elif following not in order:
                _enter(
                    following, needs, order=order, lowest=lowest, open_group=open_group, path=path
                )
            elif following in open_group:
                lowest[number] = min(lowest[number], order[following])


def _enter(
    number: UpdateNumber,
    needs: Needs,
    *,
    order: dict[UpdateNumber, int],
    lowest: dict[UpdateNumber, int],
    open_group: dict[UpdateNumber, None],
    path: list[tuple[UpdateNumber, Iterator[UpdateNumber]]],
) -> None:
    order[number] = lowest[number] = len(order)
    open_group[number] = None
    path.append((number, iter(sorted(needs[number]))))


def _close(number: UpdateNumber, open_group: dict[UpdateNumber, None]) -> list[UpdateNumber]:
    group = []
    while True:
        last, _ = open_group.popitem()
        group.append(last)
        if last == number:
            return group
