"""Laws of rules: Kleene's logic, what unknown may become, and each form keeps a rule whole."""

from __future__ import annotations

import sys
from dataclasses import replace

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from patchtide.domain.applicability.evaluation import LeafState, evaluate
from patchtide.domain.applicability.explanation import explain
from patchtide.domain.applicability.facts import (
    NO,
    YES,
    Answer,
    Asked,
    Facts,
    InstalledPackage,
    asked_by,
)
from patchtide.domain.catalog.rule_conditions import CONDITIONS
from patchtide.domain.catalog.rule_facts import FACTS, Declared
from patchtide.domain.catalog.rule_mistakes import InvalidRule
from patchtide.domain.catalog.rule_parser import MAX_LENGTH, parse_rule
from patchtide.domain.catalog.rule_text import laid_out, lines, part_text, rule_text
from patchtide.domain.catalog.rule_values import BETWEEN, KINDS, MATCHES, ValueType, fits_pattern
from patchtide.domain.catalog.rules import (
    MAX_DEPTH,
    Always,
    And,
    Architecture,
    Between,
    Compared,
    Comparison,
    FactIs,
    InstalledLeaf,
    Matches,
    ModuleStream,
    Never,
    Not,
    OperatingSystem,
    Or,
    PackageFormat,
    PackageInstalled,
    Rule,
    Test,
    Unsupported,
    nodes,
)
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.wire.rules import decode_rule, encode_rule

VALUES = {
    ValueType.TEXT: ("a", "b", "ab"),
    ValueType.NUMBER: ("-1", "0", "7", "10"),
    ValueType.DATE: ("2026-03-30", "2026-03-31", "2026-03-31T00:00:01Z"),
    ValueType.HASH: ("a" * 64, "b" * 64),
    ValueType.FILE_VERSION: ("1", "1.0.0.1", "2.0"),
    ValueType.SEMVER: ("1.0.0-rc.1", "1.0.0", "1.0.1"),
}
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
words = st.text(min_size=1, max_size=9) | st.sampled_from(
    (
        "and",
        "in",
        "file",
        "a:b",
        ":",
        '"',
        "\\u{41}",
        "\\",
        "x y",
        "\u202e",
        "#",
        "é",
        "installed",
        "-",
    )
)


def questions(kind: ValueType, tests: frozenset[str]) -> st.SearchStrategy[Test | None]:
    """Return what may be asked of a fact of this kind."""
    key = KINDS[kind].key
    values = st.sampled_from(VALUES.get(kind, VERSIONS))
    some: list[st.SearchStrategy[Test | None]] = [] if tests else [st.none()]
    if compared := [by for by in Comparison if by.value in tests]:
        some.append(st.builds(Compared, st.sampled_from(compared), values))
    if BETWEEN in tests:
        ends = st.tuples(values, values).map(lambda pair: sorted(pair, key=key))
        some.append(ends.map(lambda pair: Between(*pair)))
    if MATCHES in tests:
        some.append(st.builds(Matches, st.sampled_from(("*", "1*", "a", "*b*"))))
    return st.one_of(some)


def about(declared: Declared, names: st.SearchStrategy[str]) -> st.SearchStrategy[FactIs]:
    least = len(declared.keys)
    keys = st.lists(names, min_size=least, max_size=least + len(declared.may_follow))
    return st.builds(
        FactIs, st.just(declared.name), keys.map(tuple), questions(declared.kind, declared.tests)
    )


ABOUT = {fact: about(declared, names) for fact, declared in FACTS.items()}
facts_asked = st.sampled_from(list(FACTS)).flatmap(ABOUT.__getitem__)
simple: st.SearchStrategy[Rule] = st.one_of(
    packages,
    st.builds(OperatingSystem, names, st.lists(versions, max_size=2).map(tuple)),
    st.builds(Architecture, st.lists(arches, min_size=1, max_size=2).map(tuple)),
    st.builds(ModuleStream, names, versions),
    st.builds(InstalledLeaf, numbers),
    facts_asked,
    st.sampled_from((Always(), Never())),
)
wild: st.SearchStrategy[Rule] = st.one_of(
    simple,
    st.builds(PackageInstalled, formats, words, architecture=st.none() | words),
    st.builds(PackageInstalled, formats, words, st.sampled_from(Comparison), words),
    st.builds(OperatingSystem, words, st.lists(words, max_size=3).map(tuple)),
    st.builds(ModuleStream, words, words),
    st.builds(Architecture, st.lists(words, min_size=1, max_size=3).map(tuple)),
    st.builds(Unsupported, words),
    st.sampled_from(list(FACTS)).flatmap(lambda fact: about(FACTS[fact], words)),
    st.builds(FactIs, st.just("language"), st.just(()), st.builds(Matches, words)),
)


def combined(parts: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    return st.recursive(
        parts,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda some: And(tuple(some))),
            st.lists(inner, min_size=1, max_size=3).map(lambda some: Or(tuple(some))),
            st.builds(Not, inner),
        ),
        max_leaves=12,
    )


rules = combined(simple)
installed = st.dictionaries(
    names, st.lists(st.builds(InstalledPackage, versions, arches), min_size=1).map(tuple)
)


def answers_to(declared: Declared) -> st.SearchStrategy[Answer]:
    if declared.is_flag:
        return st.sampled_from((YES, NO))
    values = VALUES.get(declared.kind, VERSIONS)
    return st.sampled_from([NO, *((value,) for value in values)])


full_facts = st.builds(
    Facts,
    os_id=names,
    os_version=versions,
    architecture=arches,
    modules=st.dictionaries(names, versions),
    language=names,
    kernel=versions,
    answers=st.fixed_dictionaries(
        {
            Asked(declared.name, keys): answers_to(declared)
            for declared in FACTS.values()
            for keys in (
                [(a,) for a in NAMES]
                if len(declared.keys) == 1
                else [(a, b) for a in NAMES for b in NAMES]
            )
            if declared.is_asked
        }
    ),
    packages=st.fixed_dictionaries(dict.fromkeys(PackageFormat, installed)),
)
full_states = st.fixed_dictionaries(
    {
        UpdateNumber(n): st.sampled_from([s for s in LeafState if s is not LeafState.UNKNOWN])
        for n in range(4)
    }
)
told = ("os_id", "os_version", "architecture", "modules", "language", "kernel")
asked = [fact.subject for fact in FACTS.values() if fact.is_asked]
gaps = st.sets(st.sampled_from([*told, *asked, *PackageFormat, 0, 1, 2]))


def forgetful(facts: Facts, lost: set[object]) -> Facts:
    """Return the facts without those that were lost."""
    kept = {kind: found for kind, found in facts.packages.items() if kind not in lost}
    answers = {a: said for a, said in facts.answers.items() if FACTS[a.fact].subject not in lost}
    fields = lost.intersection(told)
    return replace(facts, packages=kept, answers=answers, **dict.fromkeys(fields))


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


@given(rules, full_facts)
def test_only_what_a_rule_asks_for_need_be_gathered(rule: Rule, facts: Facts) -> None:
    wanted = asked_by(rule)
    fewer = {question: said for question, said in facts.answers.items() if question in wanted}

    assert evaluate(rule, replace(facts, answers=fewer)) is evaluate(rule, facts)


@given(combined(wild))
def test_the_canonical_text_is_read_back_to_the_same_rule(rule: Rule) -> None:
    text = rule_text(rule)

    assert parse_rule(text) == rule
    assert parse_rule("\n".join(laid_out(rule, width=30))) == rule
    assert text.isprintable()
    assert [line.text for line in lines(rule)] == [part_text(part) for part in walked(rule)]


def walked(rule: Rule) -> list[Rule]:
    return [part.rule for part in explain(rule, Facts()).walk()]


spoken = st.sampled_from(
    [
        *("and", "or", "not", "all of", "any of", "(", ")", ",", "in", "=", "<", "==", "between"),
        *("matches", "exists", "installed", '"', '"/x"', "\\u{", "# x\n", "\n", "1.0", "a:b", "64"),
        *CONDITIONS,
        *{fact.attribute for fact in FACTS.values()},
        *("openssl", "debian", "running"),
    ]
)
scribbles = st.lists(spoken | st.text(max_size=5), max_size=25).map(" ".join)


@given(scribbles)
@example("(" * 5_000)
@example("not " * 5_000)
@example("any of (" * 100 + "always" + ")" * 100)
def test_any_text_is_a_rule_with_a_stable_text_or_its_mistakes_are_told(text: str) -> None:
    try:
        rule = parse_rule(text)
    except InvalidRule as refused:
        check_mistakes(text, refused)
    else:
        assert rule.depth <= MAX_DEPTH
        assert rule_text(parse_rule(rule_text(rule))) == rule_text(rule)
        encode_rule(rule) if "unsupported" not in text else None


def check_mistakes(text: str, refused: InvalidRule) -> None:
    places = [(mistake.line, mistake.column) for mistake in refused.mistakes]
    source = text.split("\n")

    assert places == sorted(places) and places
    assert all(1 <= column <= len(source[line - 1]) + 1 for line, column in places)
    assert all(line.isprintable() for line in refused.shown())


LONG = {
    "conditions": "deb a < 1 and ",
    "mistakes": "dbe a < 1 and ",
    "parentheses": "(",
    "closings": ") ",
    "lists": "any of (",
    "negations": "not ",
    "commas": ",",
    "quotes": '"',
    "one long word": "a",
    "escapes": "\\u{",
    "lines": "\n",
    "comments": "#\n",
}


@pytest.mark.parametrize("piece", LONG.values(), ids=LONG)
def test_ten_times_the_text_is_no_more_than_ten_times_the_work(piece: str) -> None:
    short, long = (calls_to_read((piece * size)[:size] + " !") for size in (1_000, 10_000))

    assert long < 11 * short + 1_000


def calls_to_read(text: str) -> int:
    """Return how many functions are called, which no other load of the machine changes."""
    counted = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        with pytest.raises(InvalidRule):
            parse_rule(text)
    finally:
        sys.setprofile(before)
    return counted


def test_a_text_beyond_all_measure_is_not_even_looked_at() -> None:
    with pytest.raises(InvalidRule, match="at most"):
        parse_rule("(" * (MAX_LENGTH + 1))


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_a_star_is_any_run_of_characters_and_nothing_else_is_special(
    pattern: str, text: str
) -> None:
    assert fits_pattern(pattern, text) is slow_match(pattern, text)


def slow_match(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(slow_match(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return text[:1] == pattern[0] and slow_match(pattern[1:], text[1:])


@given(rules)
def test_a_rule_comes_back_from_the_wire_as_it_went(rule: Rule) -> None:
    form = msgspec.msgpack.decode(msgspec.msgpack.encode(encode_rule(rule)))

    assert decode_rule(form) == rule
