"""Laws of questions: what is left of the facts decides as all of them would, and is explained."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.applicability.evaluation import LeafState, evaluate
from patchtide.domain.applicability.facts import Facts
from patchtide.domain.applicability.questions import Question, lacking, standing
from patchtide.domain.applicability.scan import evaluate_shard
from patchtide.domain.applicability.wording import sentence
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import PackageFormat, Rule
from patchtide.domain.catalog.updates import Origin, Revision, UpdateId, UpdateNumber
from patchtide.wire.inventory import facts_list, facts_of, read_facts
from tests.property.test_rule_laws import full_facts, installed, rules


def leaf(number: int, three: tuple[Rule, Rule, Rule]) -> Leaf:
    return Leaf(
        number=UpdateNumber(number),
        revision=Revision(1),
        update=UpdateId(UUID(int=number)),
        prerequisite=three[0],
        applicable=three[1],
        installed=three[2],
        origin=Origin(""),
    )


leaves = st.lists(st.tuples(rules, rules, rules), min_size=1, max_size=4).map(
    lambda found: [leaf(number, three) for number, three in enumerate(found)]
)
facts = full_facts | st.builds(
    Facts, os_id=st.none(), packages=st.dictionaries(st.sampled_from(PackageFormat), installed)
)


def question(some: list[Leaf]) -> Question:
    first, *others = some
    return Question(first, others, {other.number: f"shard-{other.number}" for other in others})


@given(leaves, facts)
def test_what_is_not_asked_for_changes_nothing(some: list[Leaf], facts: Facts) -> None:
    asked = question(some)

    assert asked.state(asked.narrowed(facts)) == evaluate_shard(some, facts).states[some[0].number]


@given(leaves, facts)
def test_an_explanation_comes_to_what_the_evaluation_comes_to(
    some: list[Leaf], facts: Facts
) -> None:
    scan = evaluate_shard(some, facts)

    for one in some:
        found = standing(one, facts, scan)
        assert found.state is scan.states[one.number]
        for rule, said in zip(one.rules, found.rules.values(), strict=True):
            assert said.verdict == evaluate(rule, facts, states=scan.states)
        assert all(sentence(p).endswith(".") for r in found.rules.values() for p in r.walk())


@given(leaves, facts)
def test_an_unknown_state_by_facts_names_a_fact_that_is_not_there(
    some: list[Leaf], facts: Facts
) -> None:
    [alone] = some[:1]
    found = Question(alone).standing(facts)

    if found.state is LeafState.UNKNOWN and not alone.depends_on():
        assert list(lacking(found)) or any("no " in p.seen for p in parts_of(found))


def parts_of(found: object) -> list[object]:
    return [part for rule in found.rules.values() for part in rule.walk()]  # type: ignore[attr-defined]


@given(leaves, facts, st.sets(st.integers(1, 3)))
def test_a_leaf_in_a_shard_that_is_not_followed_is_unheard_of(
    some: list[Leaf], facts: Facts, followed: set[int]
) -> None:
    asked = question(some)
    heard = [one for one in some if one.number == 0 or one.number in followed]

    found = asked.state(facts, followed=frozenset(f"shard-{number}" for number in followed))

    assert found == evaluate_shard(heard, facts).states[some[0].number]


@given(full_facts, st.sampled_from(PackageFormat))
def test_what_the_server_reads_is_what_the_machine_went_by(
    facts: Facts, kind: PackageFormat
) -> None:
    one = replace(facts, packages={kind: facts.packages[kind]})

    assert facts_of(read_facts(facts_list(one)), one.packages[kind]) == one
