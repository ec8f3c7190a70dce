"""The structured form of rules: strict where it is known, unknown where it is new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.applicability.evaluation import evaluate
from patchtide.domain.applicability.facts import Facts
from patchtide.domain.catalog.rule_facts import FACTS
from patchtide.domain.catalog.rule_parser import parse_rule
from patchtide.domain.catalog.rules import (
    MAX_DEPTH,
    MAX_NODES,
    Always,
    And,
    Architecture,
    Between,
    Compared,
    Comparison,
    FactIs,
    InstalledLeaf,
    Matches,
    Never,
    Not,
    OperatingSystem,
    Or,
    PackageFormat,
    PackageInstalled,
    Unsupported,
)
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.errors import InvalidDocument
from patchtide.wire.rules import decode_rule, encode_rule

GOLDEN = Path(__file__).parents[2] / "golden" / "shards"
DEB, RPM = PackageFormat.DEB, PackageFormat.RPM
EVERY_OPERATOR = And(
    (
        Always(),
        Not(Never()),
        PackageInstalled(DEB, "openssl"),
        PackageInstalled(DEB, "libc6", architecture="amd64"),
        Or(tuple(PackageInstalled(RPM, "bash", by, "1:5.1-2.el9") for by in Comparison)),
        PackageInstalled(RPM, "glibc", Comparison.LESS, "2.34-60.el9", "x86_64"),
        OperatingSystem("debian"),
        OperatingSystem("rhel", ("9", "9.4")),
        Architecture(("x86_64", "aarch64")),
        InstalledLeaf(UpdateNumber(2**32 - 1)),
    )
)

EVERY_FACT = And(
    (
        PackageInstalled(PackageFormat.MSI, "Toy", Comparison.LESS, "2.1.0"),
        FactIs("os.version", ("ubuntu",), Compared(Comparison.AT_LEAST, "22.04")),
        FactIs("deb.version", ("libc6", "amd64"), Between("2.36", "2.37")),
        FactIs("language", (), Matches("de*")),
        FactIs("registry.number", ("HKLM\\Toy", "Edition"), Compared(Comparison.MORE, "-1")),
        *(parse_rule(declared.example) for declared in FACTS.values()),
    )
)


def test_the_golden_rule_of_facts_reads_and_writes_as_ever() -> None:
    golden = bytes.fromhex((GOLDEN / "rule2.hex").read_text())

    assert decode_rule(msgspec.msgpack.decode(golden)) == EVERY_FACT
    assert msgspec.msgpack.encode(encode_rule(EVERY_FACT)) == golden


def test_the_golden_rule_reads_and_writes_as_ever() -> None:
    golden = bytes.fromhex((GOLDEN / "rule1.hex").read_text())

    assert decode_rule(msgspec.msgpack.decode(golden)) == EVERY_OPERATOR
    assert msgspec.msgpack.encode(encode_rule(EVERY_OPERATOR)) == golden


@pytest.mark.parametrize(
    "form",
    [
        ["file", "/etc/x", ["anything", 1]],
        ["pkg", "apk", "openssl", "<", "1"],
        ["pkg", "deb", "openssl", "matches", "1.*"],
        ["fact", "file.owner", ["/etc/x"], "=", "root"],
        ["fact", "language", [], "sounds-like", "de"],
        ["fact", "file.sha256", ["/etc/x"], "matches", "00*"],
        ["fact", "file.exists", ["/etc/x"], "=", "yes"],
    ],
    ids=str,
)
def test_what_is_new_is_unknown_and_never_guessed(form: list[Any]) -> None:
    rule = decode_rule(form)

    assert isinstance(rule, Unsupported)
    assert evaluate(rule, Facts()) is None
    assert evaluate(decode_rule(["or", form, ["always"]]), Facts()) is True


MISTAKES: dict[str, tuple[Any, list[str]]] = {
    "no array": ("pkg", ["rule"]),
    "no operator": ([], ["rule"]),
    "operator of another type": ([["and"]], ["rule"]),
    "and of nothing": (["and"], ["rule"]),
    "not of two": (["not", ["always"], ["never"]], ["rule"]),
    "constant with an argument": (["always", 1], ["rule"]),
    "package without a name": (["pkg", "deb"], ["rule"]),
    "package with too much": (["pkg", "deb", "a", "<", "1", "amd64", "x"], ["rule"]),
    "empty name": (["pkg", "deb", ""], ["rule[2]"]),
    "endless version": (["pkg", "deb", "a", "<", "1" * 257], ["rule[4]"]),
    "number for a text": (["pkg", "deb", "a", "<", 1], ["rule[4]"]),
    "text for a list": (["arch", "amd64"], ["rule[1]"]),
    "empty list": (["os", "debian", []], ["rule[2]"]),
    "a list in a list": (["os", "debian", ["12", ["13"]]], ["rule[2][1]"]),
    "a module without a stream": (["module", "php"], ["rule"]),
    "a stream that is a number": (["module", "php", 8], ["rule[2]"]),
    "negative number": (["leaf", -1], ["rule[1]"]),
    "number of 33 bits": (["leaf", 2**32], ["rule[1]"]),
    "yes for a number": (["leaf", True], ["rule[1]"]),
    "fact without keys": (["fact", "kernel"], ["rule"]),
    "keys that are no list": (["fact", "kernel", "x", "=", "1"], ["rule[2]"]),
    "a key too few": (["fact", "file.size", [], "=", "1"], ["rule"]),
    "a key too many": (["fact", "kernel", ["x"], "=", "1"], ["rule"]),
    "a number that is none": (["fact", "file.size", ["/x"], "=", "many"], ["rule"]),
    "a number spelled otherwise": (["fact", "file.size", ["/x"], "=", "007"], ["rule"]),
    "a question without its test": (["fact", "file.size", ["/x"]], ["rule"]),
    "half a span": (["fact", "file.size", ["/x"], "between", "1"], ["rule"]),
    "a span turned round": (["fact", "file.size", ["/x"], "between", "2", "1"], ["rule"]),
    "all at once": (
        ["and", ["leaf"], ["or", ["pkg", "deb", 7, "<", None], 3], ["not"]],
        ["rule[1]", "rule[2][1][2]", "rule[2][1][4]", "rule[2][2]", "rule[3]"],
    ),
}


@pytest.mark.parametrize(("form", "places"), MISTAKES.values(), ids=MISTAKES)
def test_every_mistake_is_told_with_its_place(form: Any, places: list[str]) -> None:
    with pytest.raises(InvalidDocument) as refused:
        decode_rule(form)

    assert [problem.where for problem in refused.value.problems] == places


def nested(depth: int) -> list[Any]:
    form: list[Any] = ["always"]
    for _ in range(depth - 1):
        form = ["not", form]
    return form


def test_depth_and_size_are_limited() -> None:
    assert decode_rule(nested(MAX_DEPTH)).depth == MAX_DEPTH
    decode_rule(["and", *[["always"]] * (MAX_NODES - 1)])

    for form in (nested(MAX_DEPTH + 1), nested(10_000), ["or", *[["always"]] * MAX_NODES]):
        with pytest.raises(InvalidDocument) as refused:
            decode_rule(form)
        assert len(refused.value.problems) == 1


def test_an_operator_that_is_not_known_cannot_be_written() -> None:
    with pytest.raises(InvalidDocument):
        encode_rule(And((Always(), Unsupported("file"))))


words = st.sampled_from(
    ["and", "or", "not", "pkg", "deb", "os", "arch", "module", "leaf", "<", "always"]
)
junk = st.recursive(
    words | st.none() | st.integers() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=20,
)


@given(junk)
def test_anything_is_a_rule_or_is_refused(form: Any) -> None:
    try:
        rule = decode_rule(form)
    except InvalidDocument as error:
        assert error.problems
    else:
        assert rule.depth <= MAX_DEPTH
