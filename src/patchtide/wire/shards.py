"""Shards of the catalog: a base, deltas that lead on from it, and the index that names both.

Shard and delta files are named by the SHA-256 that the signed index holds; readers check it
before they unpack (S24). Files and index name their lineage and shard, and one of another is
refused. A delta (a -> b) is the last word on everything touched after `a`, so it is valid for
any state from `a` to `b` and may be applied twice. What comes out must match the digest.

Serial 0 is the empty shard: what a machine has before its first file.

Which files exist and which of them a client fetches is `wire.shard_plan`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import chain, pairwise
from struct import pack
from typing import Annotated

import zstandard
from msgspec import Meta, Struct

from patchtide.domain.errors import InvalidDocument, Problem, Refused, WrongState
from patchtide.wire.leaves import LeafEntryV1, Number
from patchtide.wire.messages import Digest, Serial, Uuid, decode, encode
from patchtide.wire.sets import unpack

MAX_SHARD_BYTES = 64 << 20
MAX_INDEX_BYTES = 64 << 10
_LEVELS = ((8 << 20, 12), (2 << 20, 17), (0, 19))
ShardName = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9.-]{0,62}\Z")]

Leaves = Mapping[int, LeafEntryV1]


class WrongShard(Refused):
    """The document is of another lineage or another shard."""

    code = "wrong-shard"


class DeltaDoesNotFit(WrongState):
    """The delta does not lead on from this state of the shard."""

    code = "delta-does-not-fit"


class WrongShardDigest(Refused):
    """The shard's content does not match its digest."""

    code = "wrong-shard-digest"


class ShardV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="shard1"):
    """A base: everything that a shard holds at one serial."""

    lineage: Uuid
    shard: ShardName
    serial: Serial
    digest: Digest
    leaves: tuple[LeafEntryV1, ...]


class DeltaV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="delta1"):
    lineage: Uuid
    shard: ShardName
    from_serial: Serial
    to_serial: Serial
    digest: Digest
    """Of the shard at `to_serial`."""
    upserts: tuple[LeafEntryV1, ...] = ()
    drops: tuple[Number, ...] = ()


class BaseFileV1(Struct, frozen=True, array_like=True):
    serial: Serial
    size_bytes: Serial
    sha256: Digest


class DeltaFileV1(Struct, frozen=True, array_like=True):
    from_serial: Serial
    to_serial: Serial
    size_bytes: Serial
    sha256: Digest


class ShardIndexV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="shardindex1"):
    """What a role signs as a target, one a shard, a kilobyte or two: fetched at each change.

    File names follow from shard and serials (`wire.shard_plan`), so they are not carried. The
    base may be older than the serial: deltas lead on from it.
    """

    lineage: Uuid
    shard: ShardName
    serial: Serial
    digest: Digest
    base: BaseFileV1
    deltas: Annotated[tuple[DeltaFileV1, ...], Meta(max_length=256)] = ()


def shard_digest(lineage: bytes, pairs: Iterable[tuple[int, int]]) -> bytes:
    """Return the SHA-256 over the sorted (number, revision), 4 bytes each, big-endian."""
    words = [*chain.from_iterable(sorted(pairs))]
    said = pack(f">{len(words)}I", *words)
    return sha256(b"patchtide-shard-1\0" + lineage + said).digest()


def digest_of(lineage: bytes, leaves: Leaves) -> bytes:
    return shard_digest(lineage, ((leaf.number, leaf.revision) for leaf in leaves.values()))


def make_base(lineage: bytes, shard: str, *, serial: int, leaves: Leaves) -> ShardV1:
    return ShardV1(
        lineage=lineage,
        shard=shard,
        serial=serial,
        digest=digest_of(lineage, leaves),
        leaves=tuple(leaves[number] for number in sorted(leaves)),
    )


def compose(deltas: Sequence[DeltaV1]) -> DeltaV1:
    """Return one delta for several that follow on each other.

    It is not the difference of its two ends: what came and went in between must be dropped too,
    for a client may stand in between.
    """
    last: dict[int, LeafEntryV1 | None] = {}
    for before, after in pairwise(deltas):
        _check_same(after, lineage=before.lineage, shard=before.shard)
        if after.from_serial != before.to_serial:
            raise DeltaDoesNotFit(f"{after.from_serial} does not follow {before.to_serial}")
    for delta in deltas:
        last |= dict.fromkeys(delta.drops)
        last |= {leaf.number: leaf for leaf in delta.upserts}
    return DeltaV1(
        lineage=deltas[0].lineage,
        shard=deltas[0].shard,
        from_serial=deltas[0].from_serial,
        to_serial=deltas[-1].to_serial,
        digest=deltas[-1].digest,
        upserts=tuple(leaf for _, leaf in sorted(last.items()) if leaf is not None),
        drops=tuple(number for number, leaf in sorted(last.items()) if leaf is None),
    )


def apply_delta(current: Leaves, serial: int, delta: DeltaV1) -> dict[int, LeafEntryV1]:
    """Return what the shard holds at the delta's end. `current` is left as it is.

    Raises:
        DeltaDoesNotFit: `serial` is before the delta's start or after its end.
        WrongShardDigest: the result is not what was published; `current` is not to be trusted.
    """
    if not delta.from_serial <= serial <= delta.to_serial:
        raise DeltaDoesNotFit(
            f"{delta.shard} {delta.from_serial} to {delta.to_serial} does not fit {serial}"
        )
    result = dict(current) | {leaf.number: leaf for leaf in delta.upserts}
    for number in delta.drops:
        result.pop(number, None)
    _check_digest(delta, result)
    return result


def pack_document(document: ShardV1 | DeltaV1) -> bytes:
    """Return the file: MessagePack under zstd."""
    return pack_body(encode(document))


def pack_body(body: bytes) -> bytes:
    # The last tenth of a large one is most of the work, which a synchronisation waits for.
    level = next(level for least, level in _LEVELS if len(body) >= least)
    return zstandard.ZstdCompressor(level=level, write_content_size=True).compress(body)


def read_base(packed: bytes, *, lineage: bytes, shard: str) -> tuple[int, dict[int, LeafEntryV1]]:
    """Return the base's serial and leaves.

    Raises:
        InvalidDocument: not a base, too large, or a number twice.
        WrongShard: of another lineage or shard.
        WrongShardDigest: its leaves are not those that it says.
    """
    base = decode(unpack(packed, limit=MAX_SHARD_BYTES, what="shard"), ShardV1)
    _check_same(base, lineage=lineage, shard=shard)
    leaves = {leaf.number: leaf for leaf in base.leaves}
    if len(leaves) != len(base.leaves):
        raise InvalidDocument([Problem("shard.leaves", "holds a number twice")])
    _check_digest(base, leaves)
    return base.serial, leaves


def read_delta(packed: bytes, *, lineage: bytes, shard: str) -> DeltaV1:
    """Return the delta, checked but for its digest, which its result must match.

    Raises:
        InvalidDocument: not a delta, too large, or two words on one number.
        WrongShard: of another lineage or shard.
    """
    delta = decode(unpack(packed, limit=MAX_SHARD_BYTES, what="delta"), DeltaV1)
    _check_same(delta, lineage=lineage, shard=shard)
    named = [leaf.number for leaf in delta.upserts] + list(delta.drops)
    problems = []
    if len(set(named)) != len(named):
        problems.append(Problem("delta", "names a number twice"))
    if delta.from_serial >= delta.to_serial:
        problems.append(Problem("delta.to_serial", "must be after from_serial"))
    if problems:
        raise InvalidDocument(problems)
    return delta


def read_index(data: bytes, *, lineage: bytes | None, shard: str) -> ShardIndexV1:
    """Return the index. Without a lineage (a fresh machine) the signed one is taken.

    Raises:
        InvalidDocument: not an index, or too large.
        WrongShard: of another lineage or shard.
    """
    if len(data) > MAX_INDEX_BYTES:
        raise InvalidDocument([Problem("index", f"is larger than {MAX_INDEX_BYTES} bytes")])
    index = decode(data, ShardIndexV1)
    _check_same(index, lineage=index.lineage if lineage is None else lineage, shard=shard)
    return index


def _check_same(found: ShardV1 | DeltaV1 | ShardIndexV1, *, lineage: bytes, shard: str) -> None:
    if found.lineage != lineage:
        raise WrongShard(f"lineage is {found.lineage.hex()}, not {lineage.hex()}")
    if found.shard != shard:
        raise WrongShard(f"shard is {found.shard!r}, not {shard!r}")


def _check_digest(said: ShardV1 | DeltaV1, leaves: Leaves) -> None:
    if digest_of(said.lineage, leaves) != said.digest:
        raise WrongShardDigest(f"{said.shard}: {len(leaves)} leaves do not match the digest")
