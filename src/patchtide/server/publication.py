"""What a publication writes to the database, in transactions of bounded size.

All but the last one put in leaves that nobody sees yet; the last one puts the new serial in force.
A publication that ended half-way is taken back by the next one of its shard. Each transaction
locks the shard's record and looks for its own claim there, so of two publications of one shard,
on whatever nodes, the one that began first gives up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.errors import InvalidDocument, Problem, Refused, StaleRevision
from patchtide.server.ports.catalog import NumberHolder, StoredLeaf
from patchtide.server.ports.decisions import Transaction
from patchtide.wire.leaves import encode_leaf
from patchtide.wire.shard_plan import SPANS, role_of

RECORD = "catalog.shard."
SIGNED = "catalog.signed."
"""Of a shard that is signed elsewhere: what was signed for the serial in force."""
SLICE = 300
"""A leaf is up to three rows: its number's holder, the new revision and the replaced one."""
_NAMED = 5


class NumberClash(Refused):
    """An update number is not this publisher's to use."""

    code = "number-clash"

    def __init__(self, shard: str, flaws: Sequence[tuple[Leaf, str]]) -> None:
        self.numbers = tuple(int(leaf.number) for leaf, _ in flaws)
        said = [f"leaf {x.number} ({x.title or x.update}): {why}" for x, why in flaws[:_NAMED]]
        more = len(flaws) - len(said)
        said += [f"and {more} more"] if more else []
        super().__init__(f"not published in {shard}: {'; '.join(said)}")


class ShardRecord(msgspec.Struct, frozen=True):
    """What the database keeps of a shard, and what of it is published."""

    serial: int = 0
    """In force; 0 before the first publication."""
    published_at: float = 0.0
    leaves: int = 0
    index: bytes = b""
    """The last published index; empty before the first."""
    claim: bytes = b""
    """Of the publication that is putting in the next serial."""
    begins: int = 0
    """No delta leads on from before this serial: what was published then is lost."""


class SignedElsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """A role's metadata that vouches for a serial, with all its signatures."""

    serial: int
    metadata: bytes


@dataclass(frozen=True, slots=True)
class Part:
    leaves: tuple[Leaf, ...]
    drops: tuple[int, ...]


def parts_of(leaves: Sequence[Leaf], drops: Sequence[int]) -> Iterator[Part]:
    """Return what goes into one transaction each.

    Raises:
        InvalidDocument: a number stands there twice.
    """
    given = [int(leaf.number) for leaf in leaves if leaf.number] + list(drops)
    if len(given) != len(set(given)):
        twice = sorted(number for number, times in Counter(given).items() if times > 1)
        raise InvalidDocument([Problem(f"leaf {n}", "is named twice") for n in twice])
    for start in range(0, len(leaves), SLICE):
        yield Part(tuple(leaves[start : start + SLICE]), ())
    for start in range(0, len(drops), SLICE):
        yield Part((), tuple(drops[start : start + SLICE]))


def read_record(data: bytes | None) -> ShardRecord:
    return msgspec.msgpack.decode(data, type=ShardRecord) if data else ShardRecord()


def locked_record(tx: Transaction, shard: str) -> ShardRecord:
    return read_record(tx.lock_setting(RECORD + shard))


def put_record(tx: Transaction, shard: str, record: ShardRecord) -> None:
    tx.put_setting(RECORD + shard, msgspec.msgpack.encode(record))


def begin(tx: Transaction, shard: str, *, claim: bytes, expected_serial: int | None = None) -> bool:
    """Claim the shard's next serial. True: more of an earlier claim's has to be taken back.

    Raises:
        StaleRevision: another serial than the expected one is in force.
    """
    record = locked_record(tx, shard)
    if expected_serial not in (None, record.serial):
        raise StaleRevision(f"{shard} is at {record.serial} now, not at {expected_serial}")
    put_record(tx, shard, msgspec.structs.replace(record, claim=claim))
    return tx.take_back_leaves(shard, record.serial + 1, limit=SLICE) > 0


def put_part(tx: Transaction, shard: str, part: Part, *, claim: bytes) -> tuple[Leaf, ...]:
    """Put in one part and return its leaves, each with its number.

    Raises:
        NumberClash: a number was never allotted, or is another role's or update's, or its
            revision was published before.
        StaleRevision: another publication of this shard has begun.
    """
    serial = _claimed(tx, shard, claim).serial + 1
    numbered = _numbered(tx, part.leaves)
    _take_numbers(tx, shard, numbered, given=[int(x.number) for x in part.leaves if x.number])
    _require_rising(tx, shard, [leaf for leaf in part.leaves if leaf.number])
    stored = [_stored(leaf, serial) for leaf in numbered]
    tx.put_leaves(shard, serial, upserts=stored, drops=part.drops)
    return numbered


def read_signed(data: bytes | None) -> SignedElsewhere | None:
    return msgspec.msgpack.decode(data, type=SignedElsewhere) if data else None


def put_signed(tx: Transaction, shard: str, signed: SignedElsewhere) -> None:
    tx.put_setting(SIGNED + shard, msgspec.msgpack.encode(signed))


def finish(tx: Transaction, shard: str, *, claim: bytes, leaves: int, drops: int) -> int:
    """Put the new serial in force and return it.

    Raises:
        StaleRevision: another publication of this shard has begun.
    """
    record = _claimed(tx, shard, claim)
    serial = record.serial + 1
    put_record(tx, shard, msgspec.structs.replace(record, serial=serial, claim=b""))
    tx.note(shard, serial=serial, leaves=leaves, drops=drops)
    return serial


def lift(tx: Transaction, shard: str, *, claim: bytes, above: int) -> None:
    """Put the same leaves in force once more, above a serial that machines may have.

    At the start of a longest delta: none ever leads from what is lost to what is there.

    Raises:
        StaleRevision: another publication of this shard has begun.
    """
    record = _claimed(tx, shard, claim)
    serial = (max(record.serial, above) // SPANS[-1] + 1) * SPANS[-1]
    lifted = msgspec.structs.replace(record, serial=serial, begins=serial, claim=b"")
    put_record(tx, shard, lifted)
    tx.note(shard, serial=serial, before=record.serial, lifted=True)


def give_up(tx: Transaction, shard: str, *, claim: bytes) -> bool:
    """Take back a part of what this publication has put in. True: there may be more."""
    record = locked_record(tx, shard)
    if record.claim != claim:  # whoever claimed the shard since has taken it back
        return False
    return tx.take_back_leaves(shard, record.serial + 1, limit=SLICE) > 0


def release(tx: Transaction, shard: str, *, claim: bytes) -> bool:
    """Give a claim back, and take back a part of what it put in. True: there may be more."""
    record = locked_record(tx, shard)
    if record.claim not in (claim, b""):  # whoever claimed the shard since has taken it back
        return False
    if record.claim:
        put_record(tx, shard, msgspec.structs.replace(record, claim=b""))
    return tx.take_back_leaves(shard, record.serial + 1, limit=SLICE) > 0


def _claimed(tx: Transaction, shard: str, claim: bytes) -> ShardRecord:
    record = locked_record(tx, shard)
    if record.claim != claim:
        raise StaleRevision(f"another publication of {shard} has begun")
    return record


def _numbered(tx: Transaction, leaves: Sequence[Leaf]) -> tuple[Leaf, ...]:
    fresh = sum(leaf.number == 0 for leaf in leaves)
    first = tx.allot_numbers(fresh) if fresh else 0
    numbers = iter(range(first, first + fresh))
    return tuple(
        leaf if leaf.number else replace(leaf, number=UpdateNumber(next(numbers)))
        for leaf in leaves
    )


def _take_numbers(
    tx: Transaction, shard: str, leaves: Sequence[Leaf], *, given: Sequence[int]
) -> None:
    by_number = {int(leaf.number): leaf for leaf in leaves}
    role = role_of(shard)
    flaws = [(by_number[n], "its number was never allotted") for n in tx.unallotted(given)]
    if not flaws:
        updates = {number: leaf.update.bytes for number, leaf in by_number.items()}
        held = tx.hold_numbers(updates, role=role)
        flaws = [(by_number[x.number], _whose(x, role)) for x in held]
    if flaws:
        raise NumberClash(shard, flaws)


def _require_rising(tx: Transaction, shard: str, leaves: Sequence[Leaf]) -> None:
    """A machine that has a revision would take an older one, or the same, for what it has."""
    stored = tx.leaf_revisions(shard, [int(leaf.number) for leaf in leaves])
    flaws = [
        (leaf, f"its revision {leaf.revision} is not above {stored[leaf.number]}")
        for leaf in leaves
        if leaf.revision <= stored.get(leaf.number, 0)
    ]
    if flaws:
        raise NumberClash(shard, flaws)


def _whose(holder: NumberHolder, role: str) -> str:
    if holder.role != role:
        return f"its number belongs to {holder.role}"
    return f"its number stands for update {holder.update.hex()}"


def _stored(leaf: Leaf, serial: int) -> StoredLeaf:
    encoded = encode_leaf(leaf)
    return StoredLeaf(
        number=leaf.number,
        revision=leaf.revision,
        update=leaf.update.bytes,
        document=encoded.body,
        entered_serial=serial,
    )
