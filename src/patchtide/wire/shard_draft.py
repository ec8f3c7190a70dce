"""A draft of a shard, held against what whoever is to sign it wrote.

A server makes the draft, and the server is the one to look out for. So every file that the index
would vouch for is read, and each leaf in it must be one that was signed before or one that was
written here, to the byte; nothing else may come, change or go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from patchtide.domain.errors import InvalidDocument, Problem, Refused
from patchtide.wire.leaves import LeafEntryV1
from patchtide.wire.messages import Uuid, decode
from patchtide.wire.shard_plan import plan
from patchtide.wire.shards import (
    BaseFileV1,
    DeltaDoesNotFit,
    DeltaV1,
    Leaves,
    ShardIndexV1,
    WrongShardDigest,
    apply_delta,
    digest_of,
    read_base,
    read_delta,
)

Read = Callable[[bytes, int], bytes]
"""A file by its SHA-256, of at most so many bytes, checked."""
Documents = Mapping[bytes, Collection[bytes]]
"""Update -> its leaves in their wire form."""
_NAMED = 10


class DraftDiffers(Refused):
    """The draft holds something else than what was written here; it is not signed."""

    code = "draft-differs"


class _Named(Struct, frozen=True):
    update: Uuid


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is signed now, and what it leads to; nothing before the first publication."""

    index: ShardIndexV1 | None = None
    leaves: Leaves = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What may come of it: these leaves, and none of the updates that are taken back."""

    documents: Documents
    expired: Collection[bytes] = ()


def read_standing(index: ShardIndexV1, read: Read) -> Standing:
    """Return what a signed index leads to.

    Raises:
        InvalidDocument, WrongShard, WrongShardDigest, DeltaDoesNotFit: its files are not sound.
    """
    serial, leaves = 0, dict[int, LeafEntryV1]()
    for file in plan(index, 0):
        packed = read(file.sha256, file.size_bytes)
        if isinstance(file, BaseFileV1):
            serial, leaves = read_base(packed, lineage=index.lineage, shard=index.shard)
        else:
            delta = read_delta(packed, lineage=index.lineage, shard=index.shard)
            leaves = apply_delta(leaves, serial, delta)
            serial = delta.to_serial
    if serial != index.serial:
        raise DeltaDoesNotFit(f"{index.shard}: nothing leads to {index.serial}")
    if digest_of(index.lineage, leaves) != index.digest:
        raise WrongShardDigest(f"{index.shard} at {index.serial}")
    return Standing(index=index, leaves=leaves)


def check_draft(draft: ShardIndexV1, *, before: Standing, written: Written, read: Read) -> None:
    """Refuse a draft that vouches for anything but what was signed before and was written here.

    Raises:
        DraftDiffers: with what is otherwise.
        InvalidDocument, WrongShard, WrongShardDigest, DeltaDoesNotFit: its files are not sound.
    """
    if before.index is not None:
        if draft.lineage != before.index.lineage:
            raise DraftDiffers("it belongs to another catalog than what is signed")
        if draft.serial <= before.index.serial:
            raise DraftDiffers(f"its serial {draft.serial} was signed before")
    after = read_standing(draft, read).leaves
    flaws = list(_flaws(before.leaves, after, written))
    flaws += _stray(draft, before.index, after, read)
    if flaws:
        more = f"; and {len(flaws) - _NAMED} more" if len(flaws) > _NAMED else ""
        raise DraftDiffers("; ".join(flaws[:_NAMED]) + more)


def _flaws(before: Leaves, after: Leaves, written: Written) -> Iterator[str]:
    found: dict[bytes, set[bytes]] = {}
    for number, leaf in after.items():
        update = _update_of(leaf)
        found.setdefault(update, set()).add(leaf.body)
        if leaf.body in written.documents.get(update, ()):
            if flaw := _number_flaw(before.get(number), leaf, update):
                yield flaw
        elif update in written.documents:
            yield f"leaf {number} is not as it was written here"
        elif update in written.expired:
            yield f"leaf {number} should be gone"
        elif before.get(number) != leaf:
            yield f"leaf {number} was not written here"
    for number, leaf in before.items():
        update = _update_of(leaf)
        if number not in after and update not in (*written.documents, *written.expired):
            yield f"leaf {number} is gone, and nobody here took it back"
    for update, documents in written.documents.items():
        if missing := set(documents) - found.get(update, set()):
            yield f"{len(missing)} leaves of {update.hex()} are missing"


def _number_flaw(before: LeafEntryV1 | None, leaf: LeafEntryV1, update: bytes) -> str:
    if before is None or before == leaf:
        return ""
    if _update_of(before) != update:
        return f"leaf {leaf.number} was another update"
    return "" if leaf.revision > before.revision else f"leaf {leaf.number} has no new revision"


def _stray(
    draft: ShardIndexV1, before: ShardIndexV1 | None, after: Leaves, read: Read
) -> Iterator[str]:
    """Tell what lies in files that lead there by another way than the cheapest."""
    known = {before.base, *before.deltas} if before else set()
    base = draft.base
    if base not in known:
        packed = read(base.sha256, base.size_bytes)
        serial, leaves = read_base(packed, lineage=draft.lineage, shard=draft.shard)
        if (serial, leaves) != (draft.serial, after):
            yield "its base is not what it leads to"
    for file in draft.deltas:
        if file in known:
            continue
        packed = read(file.sha256, file.size_bytes)
        delta = read_delta(packed, lineage=draft.lineage, shard=draft.shard)
        said = (delta.from_serial, delta.to_serial, delta.digest)
        if said != (file.from_serial, draft.serial, draft.digest) or not _fits(delta, after):
            yield f"its delta from {file.from_serial} is not what it leads to"


def _fits(delta: DeltaV1, after: Leaves) -> bool:
    return not any(number in after for number in delta.drops) and all(
        after.get(leaf.number) == leaf for leaf in delta.upserts
    )


def _update_of(leaf: LeafEntryV1) -> bytes:
    try:
        return decode(leaf.body, _Named).update
    except InvalidDocument as error:
        raise InvalidDocument([Problem(f"leaf {leaf.number}", "names no update")]) from error
