"""Laws of rules: Kleene's logic, what unknown may become, and the wire form keeps a rule whole."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.applicability.evaluation import LeafState, evaluate
from patchtide.domain.applicability.explanation import explain
from patchtide.domain.applicability.facts import Facts, InstalledPackage
from patchtide.domain.catalog.rules import (
    Always,
    And,
    Architecture,
    Comparison,
    InstalledLeaf,
    ModuleStream,
    Never,
    Not,
    OperatingSystem,
    Or,
    PackageFormat,
    PackageInstalled,
    Rule,
    nodes,
)
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.wire.rules import decode_rule, encode_rule

NAMES, VERSIONS, ARCHES = ("a", "b"), ("1", "2", "1~"), ("amd64", "all")
names, versions, arches = map(st.sampled_from, (NAMES, VERSIONS, ARCHES))
formats = st.sampled_from(PackageFormat)
numbers = st.integers(0, 3).map(UpdateNumber)

packages = st.one_of(
    st.builds(PackageInstalled, formats, names, architecture=st.none() | arches),
    st.builds(
        PackageInstalled,
        formats,
        names,
        st.sampled_from(Comparison),
        versions,
        st.none() | arches,
    ),
)
simple: st.SearchStrategy[Rule] = st.one_of(
    packages,
    st.builds(OperatingSystem, names, st.lists(versions, max_size=2).map(tuple)),
    st.builds(Architecture, st.lists(arches, min_size=1, max_size=2).map(tuple)),
    st.builds(ModuleStream, names, versions),
    st.builds(InstalledLeaf, numbers),
    st.sampled_from((Always(), Never())),
)
rules: st.SearchStrategy[Rule] = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda some: And(tuple(some))),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: Or(tuple(some))),
        st.builds(Not, inner),
    ),
    max_leaves=12,
)
installed = st.dictionaries(
    names, st.lists(st.builds(InstalledPackage, versions, arches), min_size=1).map(tuple)
)
full_facts = st.builds(
    Facts,
    os_id=names,
    os_version=versions,
    architecture=arches,
    modules=st.dictionaries(names, versions),
    packages=st.fixed_dictionaries(dict.fromkeys(PackageFormat, installed)),
)
full_states = st.fixed_dictionaries(
    {
        UpdateNumber(n): st.sampled_from([s for s in LeafState if s is not LeafState.UNKNOWN])
        for n in range(4)
    }
)
gaps = st.sets(
    st.sampled_from(["os_id", "os_version", "architecture", "modules", *PackageFormat, 0, 1, 2])
)


def forgetful(facts: Facts, lost: set[object]) -> Facts:
    """Return the facts without those that were lost."""
    kept = {kind: found for kind, found in facts.packages.items() if kind not in lost}
    fields = {"os_id", "os_version", "architecture", "modules"} & lost
    return replace(facts, packages=kept, **dict.fromkeys(fields))


@given(rules, rules, rules, full_facts, full_states, gaps)
def test_verdicts_obey_kleenes_logic(
    a: Rule,
    b: Rule,
    c: Rule,
    facts: Facts,
    states: dict[UpdateNumber, LeafState],
    lost: set[object],
) -> None:
    facts = forgetful(facts, lost)

    def said(rule: Rule) -> bool | None:
        return evaluate(rule, facts, states=states)

    assert said(Not(Not(a))) is said(a)
    assert said(Not(And((a, b)))) is said(Or((Not(a), Not(b))))
    assert said(And((a, b))) is said(And((b, a)))
    assert said(Or((a, b))) is said(Or((b, a)))
    assert said(And((a, And((b, c))))) is said(And((a, b, c)))
    assert said(And((a, Or((b, c))))) is said(Or((And((a, b)), And((a, c)))))
    assert said(Or((a, And((a, b))))) is said(a)
    assert said(And((a, Always()))) is said(a) is said(Or((a, Never())))


@given(rules, full_facts, full_states, gaps)
def test_a_missing_fact_makes_a_verdict_unknown_and_never_the_opposite(
    rule: Rule, facts: Facts, states: dict[UpdateNumber, LeafState], lost: set[object]
) -> None:
    whole = evaluate(rule, facts, states=states)
    fewer = {number: state for number, state in states.items() if number not in lost}

    partly = evaluate(rule, forgetful(facts, lost), states=fewer)

    assert whole is not None
    assert partly is whole or partly is None


@given(rules, full_facts, gaps)
def test_an_explanation_agrees_with_the_evaluation_at_every_part(
    rule: Rule, facts: Facts, lost: set[object]
) -> None:
    facts = forgetful(facts, lost)
    parts = list(explain(rule, facts).walk())

    assert [part.verdict for part in parts] == [evaluate(part.rule, facts) for part in parts]
    assert len(parts) == len(list(nodes(rule)))


@given(rules)
def test_a_rule_comes_back_from_the_wire_as_it_went(rule: Rule) -> None:
    form = msgspec.msgpack.decode(msgspec.msgpack.encode(encode_rule(rule)))

    assert decode_rule(form) == rule
