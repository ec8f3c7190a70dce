"""Shard documents: golden files, digests, and what is refused."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from patchtide.domain.errors import InvalidDocument
from patchtide.wire.leaves import LeafEntryV1, entry
from patchtide.wire.messages import decode, encode
from patchtide.wire.shards import (
    BaseFileV1,
    DeltaDoesNotFit,
    DeltaFileV1,
    DeltaV1,
    ShardIndexV1,
    ShardV1,
    WrongShard,
    WrongShardDigest,
    apply_delta,
    compose,
    digest_of,
    make_base,
    pack_document,
    read_base,
    read_delta,
    read_index,
    shard_digest,
)
from tests.simulator.shard_steps import make_step

GOLDEN = Path(__file__).parents[2] / "golden" / "shards"
LINEAGE, OTHER = bytes(range(16)), bytes(16)
D = bytes(range(32))


def leaves(*pairs: tuple[int, int]) -> dict[int, LeafEntryV1]:
    return {
        number: entry(number, revision, msgspec.msgpack.encode({"title": f"{number}"}))
        for number, revision in pairs
    }


BEFORE, AFTER = leaves((1, 1), (2, 1), (3, 1)), leaves((1, 2), (3, 1), (2**32 - 1, 1))
BASE = make_base(LINEAGE, "debian-12", serial=4, leaves=AFTER)
STEP = make_step(LINEAGE, "debian-12", serial=3, before=BEFORE, after=AFTER)
INDEX = ShardIndexV1(
    lineage=LINEAGE,
    shard="debian-12",
    serial=5,
    digest=D,
    base=BaseFileV1(4, 400_000, D),
    deltas=(DeltaFileV1(3, 4, 900, D), DeltaFileV1(4, 5, 70_000, D)),
)
DOCUMENTS: dict[str, msgspec.Struct] = {"shard1": BASE, "delta1": STEP, "shardindex1": INDEX}


def packed(document: msgspec.Struct, **changed: Any) -> bytes:
    said = msgspec.msgpack.decode(encode(document)) | changed
    return zstandard.compress(msgspec.msgpack.encode(said))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_golden_document_reads_and_writes_as_ever(name: str) -> None:
    golden = bytes.fromhex((GOLDEN / f"{name}.hex").read_text())

    assert decode(golden, type(DOCUMENTS[name])) == DOCUMENTS[name]
    assert encode(DOCUMENTS[name]) == golden


@pytest.mark.parametrize("name", DOCUMENTS)
def test_fields_of_a_newer_version_are_passed_over(name: str) -> None:
    newer = msgspec.msgpack.decode(encode(DOCUMENTS[name])) | {"added_in_v9": 1}
    rows = {"leaves", "upserts", "deltas"} & newer.keys()
    newer |= {field: [[*row, "added"] for row in newer[field]] for field in rows}

    assert decode(msgspec.msgpack.encode(newer), type(DOCUMENTS[name])) == DOCUMENTS[name]


def test_the_digest_is_of_the_lineage_and_the_sorted_pairs() -> None:
    pairs = b"\0\0\0\1" + b"\0\0\0\2" + b"\0\0\0\3" + b"\0\0\0\1" + b"\xff" * 4 + b"\0\0\0\1"

    assert digest_of(LINEAGE, AFTER) == sha256(b"patchtide-shard-1\0" + LINEAGE + pairs).digest()
    assert shard_digest(LINEAGE, [(2, 1), (1, 1)]) == shard_digest(LINEAGE, [(1, 1), (2, 1)])
    assert shard_digest(LINEAGE, []) != shard_digest(OTHER, [])


def test_a_packed_base_gives_its_leaves_back() -> None:
    assert read_base(pack_document(BASE), lineage=LINEAGE, shard="debian-12") == (4, AFTER)


def test_a_step_holds_only_what_changed_and_may_be_applied_twice() -> None:
    delta = read_delta(pack_document(STEP), lineage=LINEAGE, shard="debian-12")

    assert [leaf.number for leaf in delta.upserts] == [1, 2**32 - 1]
    assert delta.drops == (2,)
    once = apply_delta(BEFORE, 3, delta)
    assert apply_delta(once, 4, delta) == once == AFTER
    assert set(BEFORE) == {1, 2, 3}


def test_a_composed_delta_drops_what_came_and_went_in_between() -> None:
    between = leaves((1, 2), (5, 1), (2, 2))
    first = make_step(LINEAGE, "debian-12", serial=3, before=BEFORE, after=between)
    second = make_step(LINEAGE, "debian-12", serial=4, before=between, after=BEFORE)

    both = compose([first, second])

    assert (both.from_serial, both.to_serial) == (3, 5)
    for serial, state in ((3, BEFORE), (4, between), (5, BEFORE)):
        assert apply_delta(state, serial, both) == BEFORE


@pytest.mark.parametrize(("lineage", "shard"), [(OTHER, "debian-12"), (LINEAGE, "debian-1")])
def test_another_lineage_or_shard_is_refused(lineage: bytes, shard: str) -> None:
    with pytest.raises(WrongShard):
        read_base(pack_document(BASE), lineage=lineage, shard=shard)
    with pytest.raises(WrongShard):
        read_delta(pack_document(STEP), lineage=lineage, shard=shard)
    with pytest.raises(WrongShard):
        read_index(encode(INDEX), lineage=lineage, shard=shard)
    strange = DeltaV1(lineage=lineage, shard=shard, from_serial=4, to_serial=5, digest=STEP.digest)
    with pytest.raises(WrongShard):
        compose([STEP, strange])


def test_a_fresh_machine_takes_the_lineage_of_the_signed_index() -> None:
    assert read_index(encode(INDEX), lineage=None, shard="debian-12") == INDEX


def test_a_result_that_does_not_match_the_digest_is_refused() -> None:
    with pytest.raises(WrongShardDigest):
        apply_delta(leaves((1, 1), (2, 1)), 3, STEP)
    with pytest.raises(WrongShardDigest):
        apply_delta(leaves((1, 1), (2, 1), (3, 2)), 3, STEP)
    with pytest.raises(WrongShardDigest):
        read_base(packed(BASE, digest=D), lineage=LINEAGE, shard="debian-12")


@pytest.mark.parametrize("serial", [0, 2, 5])
def test_a_delta_is_for_the_states_from_its_start_to_its_end(serial: int) -> None:
    with pytest.raises(DeltaDoesNotFit):
        apply_delta(BEFORE, serial, STEP)


def test_steps_that_do_not_follow_on_each_other_are_not_composed() -> None:
    with pytest.raises(DeltaDoesNotFit):
        compose([STEP, STEP])


BAD_BASES = {
    "a number twice": packed(BASE, leaves=[[1, 1, {}], [1, 2, {}]]),
    "a number of 33 bits": packed(BASE, leaves=[[2**32, 1, {}]]),
    "an entry without document": packed(BASE, leaves=[[1, 1]]),
    "a name that climbs": packed(BASE, shard="../etc"),
    "a delta": pack_document(STEP),
    "no zstd": encode(BASE),
    "a byte too many": pack_document(BASE) + b"\0",
    "cut short": pack_document(BASE)[:-1],
    "a bomb": zstandard.compress(bytes(65 << 20)),
}


@pytest.mark.parametrize("data", BAD_BASES.values(), ids=BAD_BASES)
def test_a_bad_base_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidDocument):
        read_base(data, lineage=LINEAGE, shard="debian-12")


BAD_DELTAS = {
    "upserted and dropped": packed(STEP, drops=[1]),
    "upserted twice": packed(STEP, upserts=[[1, 1, {}], [1, 2, {}]]),
    "dropped twice": packed(STEP, drops=[2, 2]),
    "leads nowhere": packed(STEP, to_serial=3),
    "leads back": packed(STEP, to_serial=2),
    "a base": pack_document(BASE),
}


@pytest.mark.parametrize("data", BAD_DELTAS.values(), ids=BAD_DELTAS)
def test_a_bad_delta_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidDocument):
        read_delta(data, lineage=LINEAGE, shard="debian-12")


def test_an_index_too_large_to_be_one_is_not_parsed() -> None:
    with pytest.raises(InvalidDocument, match="larger"):
        read_index(bytes(1 << 17), lineage=None, shard="debian-12")


def test_a_document_is_the_same_bytes_each_time() -> None:
    assert pack_document(BASE) == pack_document(
        ShardV1(
            lineage=LINEAGE,
            shard="debian-12",
            serial=4,
            digest=BASE.digest,
            leaves=tuple(reversed([AFTER[n] for n in (2**32 - 1, 3, 1)])),
        )
    )
