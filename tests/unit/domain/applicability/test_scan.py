"""A catalog against a machine: four states, in the order of dependencies."""

from __future__ import annotations

from uuid import UUID

import pytest

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.facts import Asked, Facts
from patchtide.domain.applicability.scan import WhyUnknown, evaluate_shard, facts_asked
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rule_parser import parse_rule
from patchtide.domain.catalog.rules import (
    Always,
    And,
    InstalledLeaf,
    Never,
    Not,
    OperatingSystem,
    Or,
    Rule,
    Unsupported,
)
from patchtide.domain.catalog.updates import Evaluator, Origin, Revision, UpdateId, UpdateNumber

YES, NO = Always(), Never()
UNKNOWN = OperatingSystem("debian")  # no facts are given below
NEWER = Unsupported("file")


def leaf(
    number: int,
    *,
    pre: Rule = YES,
    app: Rule = YES,
    inst: Rule = YES,
    evaluator: Evaluator = Evaluator.RULES,
) -> Leaf:
    return Leaf(
        number=UpdateNumber(number),
        revision=Revision(1),
        update=UpdateId(UUID(int=number)),
        prerequisite=pre,
        applicable=app,
        installed=inst,
        origin=Origin("publisher"),
        evaluator=evaluator,
    )


def needs(*numbers: int) -> Rule:
    return And(tuple(InstalledLeaf(UpdateNumber(number)) for number in numbers))


@pytest.mark.parametrize(
    ("pre", "app", "inst", "state"),
    [
        (YES, YES, YES, LeafState.INSTALLED),
        (YES, YES, NO, LeafState.REQUIRED),
        (YES, NO, YES, LeafState.NOT_REQUIRED),
        (NO, UNKNOWN, UNKNOWN, LeafState.NOT_REQUIRED),
        (UNKNOWN, NO, UNKNOWN, LeafState.NOT_REQUIRED),
        (UNKNOWN, YES, YES, LeafState.UNKNOWN),
        (YES, UNKNOWN, NO, LeafState.UNKNOWN),
        (YES, YES, UNKNOWN, LeafState.UNKNOWN),
    ],
)
def test_three_rules_make_one_state(pre: Rule, app: Rule, inst: Rule, state: LeafState) -> None:
    scan = evaluate_shard([leaf(1, pre=pre, app=app, inst=inst)], Facts())

    assert scan.states == {1: state}
    assert scan.why_unknown == ({1: WhyUnknown.FACTS} if state is LeafState.UNKNOWN else {})


def test_leaves_are_taken_in_the_order_of_their_dependencies() -> None:
    scan = evaluate_shard(
        [leaf(1, pre=needs(2)), leaf(2, pre=needs(3), inst=NO), leaf(3), leaf(4, app=needs(2))],
        Facts(),
    )

    assert scan.states == {
        1: LeafState.NOT_REQUIRED,
        2: LeafState.REQUIRED,
        3: LeafState.INSTALLED,
        4: LeafState.NOT_REQUIRED,
    }


def test_a_circle_is_unknown_and_who_asks_for_it_sees_that() -> None:
    scan = evaluate_shard(
        [
            leaf(1, pre=needs(2)),
            leaf(2, pre=needs(3)),
            leaf(3, pre=needs(1)),
            leaf(4, pre=needs(4)),
            leaf(5, pre=needs(1)),
            leaf(6, pre=Or((needs(1), YES))),
            leaf(7, pre=And((Not(YES), needs(1)))),
        ],
        Facts(),
    )

    assert scan.why_unknown == {
        **dict.fromkeys((1, 2, 3, 4), WhyUnknown.CIRCLE),
        5: WhyUnknown.LEAF,
    }
    assert scan.states[UpdateNumber(6)] is LeafState.INSTALLED
    assert scan.states[UpdateNumber(7)] is LeafState.NOT_REQUIRED


def test_a_circle_does_not_depend_on_the_order_of_the_leaves() -> None:
    leaves = [leaf(1, pre=needs(2, 4)), leaf(2, pre=needs(1, 3)), leaf(3), leaf(4, pre=needs(2))]

    assert evaluate_shard(leaves, Facts()) == evaluate_shard(leaves[::-1], Facts())


def test_a_chain_of_any_length_is_no_recursion() -> None:
    leaves = [leaf(number, pre=needs(number + 1)) for number in range(5_000)] + [leaf(5_000)]

    states = evaluate_shard(leaves, Facts()).states

    assert set(states.values()) == {LeafState.INSTALLED}


def test_each_unknown_says_why() -> None:
    scan = evaluate_shard(
        [
            leaf(1, pre=And((NEWER, UNKNOWN))),
            leaf(2, pre=needs(99)),
            leaf(3, evaluator=Evaluator.WINDOWS),
            leaf(4, evaluator=Evaluator.UNSUPPORTED, pre=needs(4)),
        ],
        Facts(),
    )

    assert scan.why_unknown == {
        1: WhyUnknown.OPERATOR,
        2: WhyUnknown.LEAF,
        3: WhyUnknown.EVALUATOR,
        4: WhyUnknown.EVALUATOR,
    }


def test_states_from_another_evaluator_count_but_never_for_a_leaf_with_rules() -> None:
    elsewhere = {
        UpdateNumber(1): LeafState.INSTALLED,
        UpdateNumber(2): LeafState.INSTALLED,
        UpdateNumber(9): LeafState.INSTALLED,
    }

    scan = evaluate_shard(
        [leaf(1, evaluator=Evaluator.WINDOWS), leaf(2, inst=NO), leaf(3, inst=needs(1, 9))],
        Facts(),
        elsewhere=elsewhere,
    )

    assert scan.states == {1: LeafState.INSTALLED, 2: LeafState.REQUIRED, 3: LeafState.INSTALLED}


def test_only_what_could_make_a_difference_is_asked_for() -> None:
    asking = parse_rule('file "/a" size > 1 and kernel < 6 and not service ssh running')
    other = parse_rule('file "/b" exists')
    leaves = [
        leaf(1, app=asking),
        leaf(2, pre=parse_rule("os rhel"), app=other),
        leaf(3, pre=And((InstalledLeaf(UpdateNumber(1)), OperatingSystem("debian"))), inst=asking),
        leaf(4, app=other, evaluator=Evaluator.WINDOWS),
        leaf(5, pre=parse_rule("query rack exists and update 1 installed")),
    ]

    assert facts_asked(leaves, Facts(os_id="debian")) == {
        Asked("file.size", ("/a",)),
        Asked("service.running", ("ssh",)),
        Asked("query.exists", ("rack",)),
    }


def test_leaves_that_share_a_prerequisite_have_their_own_states() -> None:
    shared = And((YES, OperatingSystem("debian")))
    on_others = And((YES, InstalledLeaf(UpdateNumber(1))))
    leaves = [
        leaf(1, pre=shared, inst=YES),
        leaf(2, pre=shared, inst=NO),
        leaf(3, pre=on_others, inst=NO),
        leaf(4, pre=on_others, app=NO),
    ]

    debian = evaluate_shard(leaves, Facts(os_id="debian")).states.values()
    rhel = evaluate_shard(leaves, Facts(os_id="rhel")).states.values()

    installed, required, absent = (
        LeafState.INSTALLED,
        LeafState.REQUIRED,
        LeafState.NOT_REQUIRED,
    )
    assert list(debian) == [installed, required, required, absent]
    assert list(rhel) == [absent] * 4
