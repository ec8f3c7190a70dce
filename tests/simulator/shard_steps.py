"""Deltas from one publication to the next, made of the leaves themselves."""

from __future__ import annotations

from patchtide.wire.shards import DeltaV1, Leaves, digest_of


def make_step(lineage: bytes, shard: str, *, serial: int, before: Leaves, after: Leaves) -> DeltaV1:
    """Return the delta from `serial` to the next one; longer deltas are composed of such."""
    changed = [n for n in sorted(after) if n not in before or before[n] != after[n]]
    return DeltaV1(
        lineage=lineage,
        shard=shard,
        from_serial=serial,
        to_serial=serial + 1,
        digest=digest_of(lineage, after),
        upserts=tuple(after[number] for number in changed),
        drops=tuple(sorted(before.keys() - after.keys())),
    )
