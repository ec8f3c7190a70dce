"""Rules against facts: what was not collected is unknown, what is not there is false."""

from __future__ import annotations

from typing import get_args

import pytest

from patchtide.domain.applicability.evaluation import _VERDICTS, LeafState, Verdict, evaluate
from patchtide.domain.applicability.explanation import NOT_COLLECTED, explain
from patchtide.domain.applicability.facts import NO, YES, Asked, Facts, by_name
from patchtide.domain.catalog.rule_parser import parse_rule
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
    language="de-CH",
    kernel="6.1.0-18-amd64",
    answers={
        Asked("file.exists", ("/etc/nologin",)): NO,
        Asked("file.exists", ("/bin/toy",)): YES,
        Asked("file.size", ("/bin/toy",)): ("1024",),
        Asked("file.size", ("/bin/gone",)): NO,
        Asked("file.modified", ("/bin/toy",)): ("2026-03-31T18:30:00Z",),
        Asked("query.number", ("rack",)): ("B7",),
        Asked("query.text", ("rack",)): ("B7",),
        Asked("registry.semver", ("HKLM\\Toy", "Version")): ("2.0.0-rc.1",),
    },
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


TEXTS: dict[str, Verdict] = {
    "os debian >= 11 and os debian < 12.1": True,
    "os debian != 12": False,
    "os rhel != 8": False,
    'os debian matches "1*"': True,
    "language = de-CH": True,
    "language = de": False,
    'language matches "de*"': True,
    "kernel < 6.1.0-20-amd64": True,
    "kernel between 6.1.0-9 and 6.1.0-18": False,
    "deb libc6 between 2.36-7 and 2.36-8": True,
    "deb libc6:amd64 between 2.36-7 and 2.36-8": False,
    'deb openssl matches "3.0.*"': True,
    'deb nginx matches "*"': False,
    'rpm bash matches "*"': None,
    'file "/etc/nologin" exists': False,
    'file "/bin/toy" exists': True,
    'file "/etc/passwd" exists': None,
    'file "/bin/toy" size between 1000 and 1024': True,
    'file "/bin/toy" size > 1024': False,
    'file "/bin/gone" size != 1': False,
    'file "/bin/toy" modified >= 2026-03-31': True,
    'file "/bin/toy" modified < 2026-03-31T18:30:00Z': False,
    "query rack number > 5": None,
    "query rack text != B8": True,
    r'registry "HKLM\Toy" "Version" semver < 2.0.0': True,
    r'registry "HKLM\Toy" "Version" semver >= 2.0.0-rc.1': True,
    "service ssh running": None,
}


@pytest.mark.parametrize(("text", "verdict"), TEXTS.items(), ids=TEXTS)
def test_a_written_rule_has_its_verdict(text: str, verdict: Verdict) -> None:
    rule = parse_rule(text)

    assert evaluate(rule, MACHINE) is verdict
    assert explain(rule, MACHINE).verdict is verdict


SEEN = {
    'file "/etc/nologin" exists': "no",
    'file "/bin/toy" exists': "yes",
    'file "/bin/gone" size > 1': "not there",
    'file "/etc/passwd" size > 1': NOT_COLLECTED,
    "query rack number > 5": "B7 (no number)",
    "os rhel >= 9": "debian 12",
    'deb libc6 matches "9*"': "2.36-9, 2.36-8",
    'deb nginx matches "9*"': "not installed",
}


@pytest.mark.parametrize(("text", "seen"), SEEN.items(), ids=SEEN)
def test_an_explanation_shows_the_fact_that_was_asked_for(text: str, seen: str) -> None:
    assert explain(parse_rule(text), MACHINE).seen == seen


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
