"""Rules against facts: what was not collected is unknown, what is not there is false."""

from __future__ import annotations

from typing import get_args

import pytest

from patchtide.domain.applicability.evaluation import _VERDICTS, LeafState, Verdict, evaluate
from patchtide.domain.applicability.explanation import NOT_COLLECTED, explain
from patchtide.domain.applicability.facts import Facts, by_name
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
    Unsupported,
)
from patchtide.domain.catalog.updates import UpdateNumber

DEB, RPM = PackageFormat.DEB, PackageFormat.RPM
MACHINE = Facts(
    os_id="debian",
    os_version="12",
    architecture="amd64",
    modules={"nodejs": "18"},
    packages={
        DEB: by_name(
            [
                ("openssl", "3.0.11-1~deb12u2", "amd64"),
                ("libc6", "2.36-9", "amd64"),
                ("libc6", "2.36-8", "i386"),
                ("tzdata", "2024a-0", "all"),
            ]
        )
    },
)
NUMBER = UpdateNumber(7)


def package(name: str, comparison: str | None = None, version: str = "", **more: str) -> Rule:
    compared = Comparison(comparison) if comparison else None
    return PackageInstalled(DEB, name, compared, version, more.get("arch"))


VERDICTS: list[tuple[Rule, Verdict]] = [
    (package("openssl"), True),
    (package("nginx"), False),
    (package("openssl", "<", "3.0.11-1"), True),
    (package("openssl", ">=", "3.0.11-1"), False),
    (package("openssl", "=", "0:3.0.11-1~deb12u2"), True),
    (package("openssl", "!=", "0:3.0.11-1~deb12u2"), False),
    (package("nginx", "!=", "1"), False),
    (package("libc6", "<=", "2.36-8"), True),
    (package("libc6", "<=", "2.36-8", arch="amd64"), False),
    (package("libc6", ">", "2.36-8", arch="i386"), False),
    (package("tzdata", arch="arm64"), True),
    (PackageInstalled(RPM, "openssl"), None),
    (OperatingSystem("debian"), True),
    (OperatingSystem("debian", ("11", "12")), True),
    (OperatingSystem("debian", ("11",)), False),
    (OperatingSystem("rhel", ("12",)), False),
    (Architecture(("arm64", "amd64")), True),
    (Architecture(("arm64",)), False),
    (ModuleStream("nodejs", "18"), True),
    (ModuleStream("nodejs", "20"), False),
    (ModuleStream("php", "8.2"), False),
    (InstalledLeaf(NUMBER), None),
    (Unsupported("file"), None),
    (Always(), True),
    (Never(), False),
    (Not(Unsupported("file")), None),
    (And((Always(), Unsupported("file"), Never())), False),
    (And((Unsupported("file"), Always())), None),
    (Or((Unsupported("file"), Always())), True),
    (Or((Never(), Unsupported("file"))), None),
]


@pytest.mark.parametrize(("rule", "verdict"), VERDICTS, ids=str)
def test_a_rule_has_its_verdict_and_its_explanation_the_same(rule: Rule, verdict: Verdict) -> None:
    assert evaluate(rule, MACHINE) is verdict
    assert explain(rule, MACHINE).verdict is verdict


@pytest.mark.parametrize(
    "rule",
    [
        package("openssl"),
        OperatingSystem("debian"),
        Architecture(("amd64",)),
        ModuleStream("nodejs", "18"),
        InstalledLeaf(NUMBER),
    ],
    ids=str,
)
def test_a_machine_that_says_nothing_is_unknown(rule: Rule) -> None:
    assert evaluate(rule, Facts()) is None


def test_a_system_without_its_version_is_unknown_only_where_the_version_matters() -> None:
    facts = Facts(os_id="debian")

    assert evaluate(OperatingSystem("debian"), facts) is True
    assert evaluate(OperatingSystem("debian", ("12",)), facts) is None
    assert evaluate(OperatingSystem("rhel", ("12",)), facts) is False


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (LeafState.INSTALLED, True),
        (LeafState.REQUIRED, False),
        (LeafState.NOT_REQUIRED, False),
        (LeafState.UNKNOWN, None),
    ],
)
def test_another_leaf_counts_by_its_state(state: LeafState, verdict: Verdict) -> None:
    assert evaluate(InstalledLeaf(NUMBER), MACHINE, states={NUMBER: state}) is verdict


def test_every_kind_of_rule_can_be_evaluated() -> None:
    assert set(_VERDICTS) == set(get_args(Rule))


def test_an_explanation_shows_what_each_part_saw_also_the_undecisive_ones() -> None:
    rule = And(
        (
            OperatingSystem("rhel"),
            Not(package("libc6", "<", "2.37")),
            package("nginx"),
            PackageInstalled(RPM, "bash"),
            Architecture(("amd64",)),
            InstalledLeaf(NUMBER),
            Unsupported("file"),
        )
    )

    found = explain(rule, MACHINE)

    assert [(part.seen, part.verdict) for part in found.walk()] == [
        ("", False),
        ("debian 12", False),
        ("", False),
        ("2.36-9 (amd64), 2.36-8 (i386)", True),
        ("not installed", False),
        (NOT_COLLECTED, None),
        ("amd64", True),
        ("not in the catalog", None),
        ("operator 'file' is not known here", None),
    ]


def test_a_package_that_never_worked_is_said_to_be_one() -> None:
    facts = Facts(packages={PackageFormat.DEB: by_name([("toy", "", "amd64")])})

    found = explain(PackageInstalled(PackageFormat.DEB, "toy"), facts)

    assert (found.seen, found.verdict) == ("never configured (amd64)", True)
