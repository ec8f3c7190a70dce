"""A leaf on the wire: what is new in it is carried on, and taken for the most careful thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from patchtide.domain.applicability.facts import Facts
from patchtide.domain.applicability.scan import WhyUnknown, evaluate_shard
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import (
    Always,
    Comparison,
    Not,
    OperatingSystem,
    PackageFormat,
    PackageInstalled,
)
from patchtide.domain.catalog.updates import (
    Evaluator,
    LeafFile,
    Origin,
    PackageFloor,
    Restart,
    Revision,
    UpdateId,
    UpdateNumber,
    Verification,
)
from patchtide.domain.errors import InvalidDocument
from patchtide.wire.leaves import LeafEntryV1, decode_leaf, encode_leaf, entry, read_leaves

GOLDEN = Path(__file__).parents[2] / "golden" / "shards"
FIXED = "3.0.15-1~deb12u1"
LEAF = Leaf(
    number=UpdateNumber(7),
    revision=Revision(3),
    update=UpdateId(UUID(int=1)),
    title="openssl",
    prerequisite=OperatingSystem("debian", ("12",)),
    applicable=PackageInstalled(PackageFormat.DEB, "openssl"),
    installed=PackageInstalled(PackageFormat.DEB, "openssl", Comparison.AT_LEAST, FIXED),
    files=(LeafFile(name="openssl", version=FIXED, sha256=bytes(range(32)), size_bytes=1_430_000),),
    floors=(PackageFloor("openssl", FIXED), PackageFloor("libssl3", FIXED)),
    origin=Origin("feed:debian-security"),
    restart=Restart.MAY,
    exclusive=True,
    evaluator=Evaluator.WINDOWS,
    payload=b"opaque",
)


def changed(**fields: Any) -> LeafEntryV1:
    document = msgspec.msgpack.decode(encode_leaf(LEAF).body) | fields
    return entry(7, 3, msgspec.msgpack.encode(document))


def test_the_golden_leaf_reads_and_writes_as_ever() -> None:
    golden = bytes.fromhex((GOLDEN / "leaf1.hex").read_text())

    assert decode_leaf(entry(7, 3, golden)) == LEAF
    assert encode_leaf(LEAF).body == golden


def test_only_what_a_leaf_must_say_is_written() -> None:
    least = replace(
        LEAF,
        title="",
        files=(),
        floors=(),
        restart=Restart.NEVER,
        exclusive=False,
        evaluator=Evaluator.RULES,
        payload=b"",
    )

    assert set(msgspec.msgpack.decode(encode_leaf(least).body)) == {
        "update",
        "prerequisite",
        "applicable",
        "installed",
        "origin",
    }
    assert decode_leaf(encode_leaf(least)) == least


@pytest.mark.parametrize(
    ("floors", "is_said"), [((PackageFloor("openssl", FIXED),), False), ((), True)]
)
def test_floors_are_said_only_where_they_are_not_the_files_own(
    floors: tuple[PackageFloor, ...], is_said: bool
) -> None:
    made = encode_leaf(replace(LEAF, floors=floors))

    assert ("floors" in msgspec.msgpack.decode(made.body)) is is_said
    assert decode_leaf(made).floors == floors


def test_a_field_of_a_newer_version_does_no_harm_and_is_kept() -> None:
    newer = changed(added_in_v9=[1, {"a": None}])

    assert decode_leaf(newer) == LEAF
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(newer), type=LeafEntryV1)
    assert msgspec.msgpack.decode(again.body)["added_in_v9"] == [1, {"a": None}]


def test_a_value_of_a_newer_version_is_taken_for_the_most_careful_one() -> None:
    found = decode_leaf(changed(restart="soon", evaluator="oracle", origin="peer"))

    assert found.restart is Restart.ALWAYS
    assert found.evaluator is Evaluator.UNSUPPORTED
    assert found.origin.verification is Verification.REFUSE


def test_mistakes_in_all_three_rules_are_told_at_once() -> None:
    with pytest.raises(InvalidDocument) as refused:
        decode_leaf(changed(prerequisite=["leaf"], applicable=None, installed=["not", ["os"]]))

    places = [problem.where for problem in refused.value.problems]
    assert places == ["prerequisite", "applicable", "installed[1]"]


def test_what_no_reader_would_take_is_not_written() -> None:
    with pytest.raises(InvalidDocument):
        encode_leaf(replace(LEAF, title="x" * 257))
    with pytest.raises(InvalidDocument):
        encode_leaf(replace(LEAF, installed=Not(OperatingSystem(""))))


def test_a_leaf_that_cannot_be_read_is_unknown_and_its_neighbours_are_not() -> None:
    sound = replace(LEAF, number=UpdateNumber(8), prerequisite=Always(), evaluator=Evaluator.RULES)

    leaves, problems = read_leaves(
        [changed(installed=["leaf", -1]), entry(9, 1, b"\xc1"), encode_leaf(sound)]
    )

    assert leaves[2] == sound
    assert [problem.where for problem in problems] == ["leaf 7 installed[1]", "leaf 9 LeafV1"]
    scan = evaluate_shard(leaves, Facts(packages={PackageFormat.DEB: {}}))
    assert scan.why_unknown == {7: WhyUnknown.EVALUATOR, 9: WhyUnknown.EVALUATOR}
    assert scan.states[UpdateNumber(8)] == "not-required"


def test_leaves_with_the_same_prerequisite_share_it() -> None:
    others = [replace(LEAF, number=UpdateNumber(n), title=str(n)) for n in (1, 2)]
    apart = replace(LEAF, prerequisite=OperatingSystem("debian", ("13",)))

    (one, two, three), _ = read_leaves(map(encode_leaf, [*others, apart]))

    assert one.prerequisite is two.prerequisite
    assert (three.prerequisite, two.prerequisite) == (apart.prerequisite, LEAF.prerequisite)


@pytest.mark.parametrize(
    "form",
    [b"\x91\xa1\xff", b"\x91" * 2_000 + b"\xc0", b"\x81\xa1a\x01", b"\xc0"],
    ids=["no text", "too deep", "a map", "nothing"],
)
def test_a_prerequisite_that_cannot_be_read_spoils_only_its_own_leaf(form: bytes) -> None:
    bad = changed(prerequisite=msgspec.Raw(form))
    good = encode_leaf(replace(LEAF, number=UpdateNumber(8)))

    leaves, problems = read_leaves([bad, good])

    assert [leaf.evaluator for leaf in leaves] == [Evaluator.UNSUPPORTED, Evaluator.WINDOWS]
    assert problems and all(problem.where.startswith("leaf 7") for problem in problems)
