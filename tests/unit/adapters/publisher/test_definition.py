"""Definitions in YAML: what they become, and every mistake with its place."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchtide.adapters.publisher.definition import read_definition
from patchtide.adapters.publisher.fields import MAX_MISTAKES
from patchtide.adapters.publisher.folder import read_definitions
from patchtide.adapters.publisher.marked import MAX_LENGTH, MAX_NODES, InvalidDefinition
from patchtide.adapters.publisher.packages import Identity
from patchtide.domain.catalog.custom import CustomUpdate, feed_update
from patchtide.domain.catalog.details import Classification
from patchtide.domain.catalog.installers import InstallerKind
from patchtide.domain.catalog.rule_text import rule_text
from patchtide.domain.catalog.updates import PackageFloor, Restart, Verification, update_id
from patchtide.domain.errors import Refused
from tests.simulator.debs import a_deb

DEB = """\
id: acme/backup/2.4
title: Backup 2.4
vendor: Acme
classification: security
products: [Backup, Suite]
architectures: [amd64]
rules:
  prerequisite: os debian 12
  applicable: deb acme-backup
  installed: deb acme-backup >= 1.20
installer:
  kind: deb
files:
  - path: backup.deb
    package: acme-backup
    version: 1.20
supersedes: [acme/backup/2.3]
cves: [CVE-2026-12345]
"""
PROGRAM = DEB.replace(
    "  kind: deb\n",
    "  kind: program\n  program: backup.deb\n"
    "  arguments: [-q, '; rm $(x)']\n  restart_codes: [3]\n",
).replace("    package: acme-backup\n    version: 1.20\n", "")

PACKAGE = a_deb("acme-backup", "1.20")
ID_CURE = "write small letters, digits and . _ + / -, at most 127"


def read(text: str) -> CustomUpdate:
    return read_definition(text, file="update.yaml", measure=lambda name: (b"\7" * 32, 5))


def mistakes(text: str) -> Sequence[tuple[int, int, str]]:
    with pytest.raises(InvalidDefinition) as caught:
        read(text)
    return [(m.line, m.column, m.sentence) for m in caught.value.mistakes]


def test_a_definition_is_an_update_and_one_leaf_that_only_its_publisher_vouches_for() -> None:
    made = feed_update(read(DEB))

    (leaf,) = made.leaves
    assert made.details.update == leaf.update == update_id("publisher", "acme/backup/2.4")
    assert made.details.classification is Classification.SECURITY
    assert made.details.products == ("Backup", "Suite")
    assert made.details.supersedes == (update_id("publisher", "acme/backup/2.3"),)
    assert made.details.cves == ("CVE-2026-12345",)
    assert [rule_text(rule) for rule in leaf.rules] == [
        "arch amd64 and os debian 12",
        "deb acme-backup installed",
        "deb acme-backup >= 1.20",
    ]
    assert leaf.origin.verification is Verification.PUBLISHER_ROLE
    assert [(f.name, f.version, f.size_bytes) for f in leaf.files] == [("acme-backup", "1.20", 5)]


def test_a_package_sets_the_floor_below_which_machines_never_go_back() -> None:
    assert feed_update(read(DEB)).leaves[0].floors == (PackageFloor("acme-backup", "1.20"),)
    assert feed_update(read(PROGRAM)).leaves[0].floors == ()


def test_what_is_installed_alone_and_can_be_removed_is_said_so() -> None:
    more = "advisories: [ACME-2026-7]\nexclusive: yes\ncan_uninstall: yes\n"
    plain, told = feed_update(read(DEB)), feed_update(read(DEB + more))

    assert [plain.leaves[0].exclusive, plain.details.can_uninstall] == [False, False]
    assert [told.leaves[0].exclusive, told.details.can_uninstall] == [True, True]
    assert told.details.advisories == ("ACME-2026-7",)
    [(_, _, said)] = mistakes(PROGRAM + "can_uninstall: yes\n")
    assert said == "nobody knows how a program is removed; leave it out; packages can be"
    [(_, _, said)] = mistakes(DEB + "exclusive: true\n")
    assert "yes" in said


def test_a_programs_arguments_are_a_list_that_nothing_splits_or_expands() -> None:
    update = read(PROGRAM)

    assert update.installer.arguments == ("-q", "; rm $(x)")
    assert update.installer.success_codes == {0}
    assert update.restart is Restart.MAY
    assert [said for *_, said in mistakes(PROGRAM.replace("[-q, '; rm $(x)']", "-q; rm"))] == [
        "arguments are a list; no shell splits them: write [one, another]"
    ]


def test_all_mistakes_are_told_at_once_with_their_places() -> None:
    text = DEB.replace("id: acme", "id: Acme").replace("title:", "titel:")
    text = text.replace("security", "securty").replace("kind: deb", "kind: deb\n  program: x")

    assert mistakes(text) == [
        (1, 1, "`title` is missing; add `title:` at this level"),
        (
            1,
            5,
            f"`Acme/backup/2.4` is no id of an update; {ID_CURE}",
        ),
        (2, 1, "`titel` is no key here; did you mean `title`?"),
        (4, 17, "`securty` is not known here; did you mean `security`?"),
        (
            13,
            12,
            "`program` is for programs; packages are installed by their own tool; leave it out",
        ),
    ]


@pytest.mark.parametrize(
    ("written", "line", "column"),
    [
        ("deb a or dbe b", 9, 24),
        ("'deb a or dbe b'", 9, 25),
        ("deb a\n    or dbe b", 10, 8),
        ("|\n    deb a  # one\n    or dbe b", 11, 8),
        ("|2-\n\n      deb a\n      or dbe b", 12, 10),
        (">\n    deb a\n    or dbe b", 11, 8),
        ('"deb a \\x6fr dbe b"', 9, 15),
    ],
)
def test_a_rules_mistake_stands_at_its_word_in_the_file(
    written: str, line: int, column: int
) -> None:
    (only,) = mistakes(DEB.replace("deb acme-backup\n", f"{written}\n", 1))

    assert only == (line, column, "no condition begins with `dbe`; did you mean `deb`?")


def test_a_rule_that_ends_too_early_is_marked_where_it_ends() -> None:
    (only,) = mistakes(DEB.replace("deb acme-backup\n", "|\n    deb acme-backup and\n\n", 1))

    assert only[:2] == (10, 24)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1]\nb: *x\n", "the anchor `x` is not read"),
        ("a: *x\n", "an alias cannot be used here"),
        (
            "a: !!python/object/apply:os.system [id]\n",
            "the tag `tag:yaml.org,2002:python/object/ap",
        ),
        ("a: " + "[" * 5_000, "nothing lies deeper than 8 levels"),
        ("- 1\n" * (MAX_NODES + 1), f"a definition has at most {MAX_NODES} words and lists"),
        ("#" * (MAX_LENGTH + 1), f"a definition has at most {MAX_LENGTH} characters"),
        ("a: 1\n---\nb: 2\n", "a file holds one update"),
        ("a: [1, 2\nb: 3\n", "this is no YAML"),
        ("{[a]: 1}", "a key is one word"),
        ("a: \x00", "this character cannot stand in YAML"),
        ("", "there is nothing in this file"),
        ("[]", "here belong keys with their values"),
        ("<<: {id: x}\n", "`<<` is no key here"),
    ],
)
def test_hostile_yaml_is_refused_before_it_grows(text: str, said: str) -> None:
    assert any(sentence.startswith(said) for *_, sentence in mistakes(text))


def test_reading_ends_at_the_fiftieth_mistake() -> None:
    assert len(mistakes("".join(f"k{i}: 1\n" for i in range(4_000)))) == MAX_MISTAKES


@pytest.mark.parametrize("key", ["package", "version", "path"])
@given(word=st.sampled_from(["-x", "a;b", "$(x)", "a b", "../a", "/a", "a\\nb", "é", "", "`x`"]))
@settings(max_examples=10)
def test_no_name_or_version_can_pass_for_an_option_or_a_command(key: str, word: str) -> None:
    lines = [f'    {key}: "{word}"' if f" {key}:" in x else x for x in DEB.splitlines()]
    text = "\n".join(lines).replace('    path: "', '  - path: "')

    assert [line for line, *_ in mistakes(text)] == [
        13 + ["path", "package", "version"].index(key) + 1
    ]


@given(st.text(alphabet="ab: -\n[]{}'\"|>&*!#%@,?\t\\", max_size=60))
@settings(max_examples=150)
def test_whatever_is_written_there_is_an_update_or_a_list_of_mistakes(text: str) -> None:
    assert mistakes(f"id: {text}\n{DEB[20:]}rules: {text}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "update.yaml").write_text(DEB)
    (tmp_path / "backup.deb").write_bytes(PACKAGE)
    return tmp_path


def test_a_file_beside_its_definition_is_measured(folder: Path) -> None:
    (only,), wrong = read_definitions(folder)

    (file,) = only.update.files
    assert (wrong, file.sha256) == ([], hashlib.sha256(PACKAGE).digest())
    assert file.size_bytes == len(PACKAGE)


def test_a_file_that_is_not_what_was_said_is_refused(folder: Path) -> None:
    said = f"    version: 1.20\n    size: 8\n    sha256: {'0' * 64}\n"
    (folder / "update.yaml").write_text(DEB.replace("    version: 1.20\n", said))

    _, (error,) = read_definitions(folder)

    assert [(m.line, m.what.partition(" is ")[0]) for m in error.mistakes] == [
        (17, "the file's size"),
        (18, "the file's sha256"),
    ]


def test_no_link_leads_out_of_a_definitions_folder(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (inner / "update.yaml").write_text(DEB)
    (inner / "backup.deb").symlink_to(folder / "backup.deb")

    _, (error,) = read_definitions(inner)

    assert "leads out" in str(error)


def test_of_a_folder_every_definition_is_read_and_no_id_may_come_twice(folder: Path) -> None:
    (folder / "z.update.yaml").write_text(DEB)
    (folder / "broken.update.yaml").write_text("id: [")
    (folder / "settings.yaml").write_text("of: something else")

    definitions, wrong = read_definitions(folder)

    assert [d.path.name for d in definitions] == ["update.yaml"]
    assert [Path(error.file).name for error in wrong] == ["broken.update.yaml", "z.update.yaml"]


def test_a_folder_without_definitions_says_so(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"holds no update\.yaml"):
        read_definitions(tmp_path)


TWO = DEB.replace("architectures: [amd64]\n", "").replace(
    "    package: acme-backup\n    version: 1.20\n", "  - path: backup-arm.deb\n"
)
"""A definition that leaves to its packages what they say of themselves."""


def identified(path: str, kind: InstallerKind) -> Identity | None:
    architecture = "arm64" if "arm" in path else "amd64"
    return Identity(package="acme-backup", version="1.20", architecture=architecture)


def read_packages(text: str) -> CustomUpdate:
    def measure(name: str) -> tuple[bytes, int]:
        return hashlib.sha256(name.encode()).digest(), 5

    return read_definition(text, file="update.yaml", measure=measure, identify=identified)


def test_each_architecture_that_has_a_file_of_its_own_becomes_a_leaf() -> None:
    made = feed_update(read_packages(TWO))

    assert [rule_text(leaf.prerequisite) for leaf in made.leaves] == [
        "arch amd64 and os debian 12",
        "arch arm64 and os debian 12",
    ]
    assert [leaf.files[0].sha256 for leaf in made.leaves] == [
        hashlib.sha256(name).digest() for name in (b"backup.deb", b"backup-arm.deb")
    ]
    assert made.details.architectures == ("amd64", "arm64")
    assert {(p.name, p.version, p.architecture) for p in made.details.packages} == {
        ("acme-backup", "1.20", "amd64"),
        ("acme-backup", "1.20", "arm64"),
    }


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            TWO.replace("backup.deb\n", "backup.deb\n    version: 1.19\n"),
            "the package's version is 1.20; take the right file, or leave this out",
        ),
        (
            TWO.replace("backup-arm.deb\n", "backup-arm.deb\n    architecture: amd64\n"),
            "the package's architecture is arm64; take the right file, or leave this out",
        ),
        (
            TWO.replace("rules:", "architectures: [amd64]\nrules:"),
            "a file is for arm64; add arm64, or leave the file out",
        ),
        (
            TWO.replace("rules:", "architectures: [amd64, arm64, i386]\nrules:"),
            "no file is for i386; leave it out, or add its file",
        ),
        (
            TWO.replace("backup-arm.deb", "backup-amd.deb"),
            "`acme-backup` is here twice; leave one of them out",
        ),
    ],
)
def test_what_is_written_and_what_the_package_says_have_to_agree(written: str, said: str) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        read_packages(written)

    assert [mistake.sentence for mistake in caught.value.mistakes] == [said]
