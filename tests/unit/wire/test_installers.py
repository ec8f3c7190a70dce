"""A leaf with an installer: understood as a whole, or a leaf that nobody judges or installs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.applicability.facts import Facts
from patchtide.domain.applicability.scan import WhyUnknown, evaluate_shard
from patchtide.domain.catalog.installers import Installer, InstallerKind
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import Always, Not
from patchtide.domain.catalog.updates import (
    Evaluator,
    LeafFile,
    Origin,
    Revision,
    UpdateId,
    UpdateNumber,
)
from patchtide.domain.errors import InvalidDocument
from patchtide.wire.installers import read_installer, said_installer
from patchtide.wire.leaves import LeafEntryV1, decode_leaf, encode_leaf, entry, read_leaves

GOLDEN = Path(__file__).parents[2] / "golden" / "shards" / "leaf1-installer.hex"
SETUP = LeafFile(name="setup.run", version="", sha256=bytes(range(32)), size_bytes=4_000)
LEAF = Leaf(
    number=UpdateNumber(7),
    revision=Revision(3),
    update=UpdateId(UUID(int=1)),
    title="Backup 2.4",
    prerequisite=Always(),
    applicable=Always(),
    installed=Not(Always()),
    files=(SETUP, replace(SETUP, name="backup.tar", sha256=bytes(32))),
    origin=Origin("publisher"),
    installer=Installer(
        kind=InstallerKind.PROGRAM,
        program="setup.run",
        arguments=("-q", "; rm -rf $(x)"),
        success_codes=frozenset((0, 1)),
        restart_codes=frozenset((3010,)),
        run_time=timedelta(minutes=90),
    ),
)
KNOWN_BEFORE = {
    "update",
    "prerequisite",
    "applicable",
    "installed",
    "origin",
    "title",
    "files",
    "floors",
    "restart",
    "exclusive",
    "evaluator",
    "payload",
}
"""All that a reader knew of a leaf before there were installers: it ignored everything else."""


def said(leaf: Leaf = LEAF) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.msgpack.decode(encode_leaf(leaf).body)
    return found


def read(document: dict[str, Any]) -> Leaf:
    return decode_leaf(entry(7, 3, msgspec.msgpack.encode(document)))


def why_unknown(leaf: LeafEntryV1) -> dict[UpdateNumber, WhyUnknown]:
    leaves, _ = read_leaves([leaf])
    return dict(evaluate_shard(leaves, Facts()).why_unknown)


def test_the_golden_leaf_with_an_installer_reads_and_writes_as_ever() -> None:
    golden = bytes.fromhex(GOLDEN.read_text())

    assert decode_leaf(entry(7, 3, golden)) == LEAF
    assert encode_leaf(LEAF).body == golden


def test_its_rules_decide_how_it_stands() -> None:
    scan = evaluate_shard(read_leaves([encode_leaf(LEAF)])[0], Facts())

    assert scan.states == {LEAF.number: "required"}


def test_a_reader_from_before_installers_says_that_it_cannot_judge_the_leaf() -> None:
    golden = msgspec.msgpack.decode(bytes.fromhex(GOLDEN.read_text()))
    seen_before = {name: value for name, value in golden.items() if name in KNOWN_BEFORE}

    assert seen_before["evaluator"] not in ("rules", "windows")
    assert read(seen_before).evaluator is Evaluator.UNSUPPORTED


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "msix"},
        {"added_in_v9": True},
        {"arguments": "-q"},
        {"arguments": ["-q", "a\nb"]},
        {"program": "../setup.run"},
        {"program": "other.run"},
        {"program": "-setup.run"},
        {"success_codes": []},
        {"restart_codes": [0]},
        {"run_time_s": 0},
    ],
    ids=str,
)
def test_an_installer_that_is_not_understood_as_a_whole_is_neither_judged_nor_installed(
    changes: dict[str, Any],
) -> None:
    document = said()
    document["installer"] |= changes
    if changes == {"success_codes": []}:
        del document["installer"]["restart_codes"]

    found = read(document)

    assert (found.installer, found.evaluator) == (None, Evaluator.UNSUPPORTED)
    odd = entry(7, 3, msgspec.msgpack.encode(document))
    assert why_unknown(odd) == {7: WhyUnknown.EVALUATOR}


def test_an_installer_and_the_word_for_it_come_together_or_nothing_is_believed() -> None:
    without_word = said() | {"evaluator": "rules"}
    without_installer = said()
    del without_installer["installer"]

    assert read(without_word).evaluator is Evaluator.UNSUPPORTED
    assert read(without_installer).evaluator is Evaluator.UNSUPPORTED
    assert read(said() | {"installer": [1]}).evaluator is Evaluator.UNSUPPORTED


def test_what_no_reader_would_take_is_not_written() -> None:
    with pytest.raises(InvalidDocument):
        encode_leaf(replace(LEAF, files=()))
    with pytest.raises(InvalidDocument):
        encode_leaf(replace(LEAF, evaluator=Evaluator.WINDOWS))


def test_only_what_a_packages_tool_installs_counts_as_a_package() -> None:
    deb = replace(LEAF, installer=Installer(kind=InstallerKind.DEB))

    assert LEAF.packages == ()
    assert deb.packages == replace(LEAF, installer=None).packages == LEAF.files


@given(
    st.text() | st.sampled_from(["-x", "a;b", "$(a)", "a\nb", "a\0b", "..", "/bin/sh", "a b"]),
    st.lists(st.text(max_size=20) | st.sampled_from(["a\0b", "a\nb", "$(x)", "-x"]), max_size=5),
)
def test_a_program_is_a_file_of_the_update_and_its_arguments_arrive_as_they_are(
    program: str, arguments: list[str]
) -> None:
    made = Installer(kind=InstallerKind.PROGRAM, program=program, arguments=tuple(arguments))
    odd = set("/\0\n $;") & set(program) or program.startswith(("-", "."))

    if made.flaw({program}):
        assert read_installer(said_as(made), files={program}) is None
    else:
        assert not odd
        assert not any({"\0", "\n"} & set(argument) for argument in arguments)
        assert read_installer(said_as(made), files={program}) == made


def said_as(installer: Installer) -> object:
    return msgspec.to_builtins(said_installer(installer))
