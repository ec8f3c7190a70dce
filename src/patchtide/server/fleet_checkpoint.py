"""The view of the fleet as it is written down, so that a restart need not read every row again.

What is written is what rows said, by machine and by leaf, and how far the logs were followed. It
is no truth: whatever is odd about it, everything is read anew. What is published, rated and listed
is small, and read from the database each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice
from typing import TypeVar

import msgspec
from msgspec import Struct
from pyroaring import BitMap

from patchtide.domain.compliance.index import StateIndex
from patchtide.domain.compliance.states import NONE, States
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.domain.schedules.scanning import Habit
from patchtide.server.member import Member, Spoken, place_of
from patchtide.server.ports.clients import Client
from patchtide.server.ports.following import Cursor

T = TypeVar("T")
MEANING = 1
"""To be raised whenever what is written means another thing; that it is another, is seen."""
PART = 1000
"""So much is made at once: whoever writes must not keep others waiting."""
_LENGTH, _DIGEST = 4, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All of it is shared with the view it was taken of; nothing of it is ever changed."""

    reported: Cursor
    decided: Cursor
    listened: datetime
    """How far was followed what machines say of their health."""
    lineage: bytes
    members: Mapping[int, Member]
    earlier: Mapping[int, Member]
    """Those who reported since, as the index has them."""
    index: StateIndex
    cut: BitMap
    restarting: BitMap
    heard_at: Mapping[int, float]
    spoken: Mapping[int, Spoken]
    habits: Mapping[int, Habit]


class _Head(Struct, frozen=True, array_like=True):
    epoch: str
    reported: int
    decided: int
    listened: datetime
    lineage: bytes
    cut: bytes
    restarting: bytes
    heard_at: dict[int, float]
    spoken: list[tuple[Spoken, bytes]]
    """Each once, with those who say so."""
    habits: list[tuple[Habit, bytes]]


class _Member(Struct, frozen=True, array_like=True):
    client: Client
    required: bytes
    installed: bytes
    unknown: bytes
    shards: dict[str, int]
    is_of_this_catalog: bool
    scan: str
    scan_error: str
    scanned_at: datetime | None
    reported_at: datetime | None
    aged_catalog: bool


class _Held(Struct, frozen=True, array_like=True):
    """The machines of a leaf in a state, or those of a shard that evaluated a serial."""

    kind: str
    number: int
    machines: bytes


def shape_of(*kinds: type[Struct]) -> bytes:
    """Return a digest of all fields and their types, of what they are made of, too.

    Fields are told by their places alone: one release must not read what another one wrote.
    """
    names = [kind.__struct_fields__ for kind in kinds]
    types = msgspec.json.schema_components(kinds, ref_template="{name}")
    return sha256(msgspec.json.encode((names, types), order="deterministic")).digest()


FORMAT = f"patchtide fleet {MEANING} {shape_of(_Head, _Member, _Held, Spoken).hex()}\n".encode()
_encoder = msgspec.msgpack.Encoder()
_heads = msgspec.msgpack.Decoder(_Head)
_members = msgspec.msgpack.Decoder(list[_Member])
_held = msgspec.msgpack.Decoder(list[_Held])
REQUIRED, INSTALLED, UNKNOWN, EVALUATED = "required", "installed", "unknown", "evaluated "


def written(checkpoint: Checkpoint) -> Iterator[bytes]:
    """Yield the checkpoint in parts, to be put one behind the other."""
    digest = sha256()
    for part in _parts(checkpoint):
        digest.update(part)
        yield part
    yield digest.digest()


def read(data: bytes) -> Checkpoint:
    """Return what was written.

    Raises:
        InvalidDocument: it was not written so, by this release, or not to its end.
    """
    if not data.startswith(FORMAT):
        raise InvalidDocument([Problem("checkpoint", "is of another release")])
    body = memoryview(data)[:-_DIGEST]
    if sha256(body).digest() != data[-_DIGEST:]:
        raise InvalidDocument([Problem("checkpoint", "is not whole")])
    try:
        return _read(_frames(body[len(FORMAT) :]))
    except (msgspec.MsgspecError, ValueError, IndexError, StopIteration) as error:
        raise InvalidDocument([Problem("checkpoint", f"cannot be read: {error}")]) from error


def _parts(checkpoint: Checkpoint) -> Iterator[bytes]:
    yield FORMAT
    yield _frame(
        _Head(
            checkpoint.reported.epoch,
            checkpoint.reported.n,
            checkpoint.decided.n,
            checkpoint.listened,
            checkpoint.lineage,
            checkpoint.cut.serialize(),
            checkpoint.restarting.serialize(),
            dict(checkpoint.heard_at),
            _by_holders(checkpoint.spoken),
            _by_holders(checkpoint.habits),
        )
    )
    earlier = checkpoint.earlier
    members = (_member(one, earlier.get(n, one)) for n, one in checkpoint.members.items())
    yield from map(_frame, _in_parts(members))
    yield _frame([])
    yield from map(_frame, _in_parts(_all_held(checkpoint.index)))
    yield _frame([])


def _read(frames: Iterator[memoryview]) -> Checkpoint:
    head = _heads.decode(next(frames))
    read: dict[str, Mapping[str, int]] = {}
    members: dict[int, Member] = {}
    while some := _members.decode(next(frames)):
        members.update((one.client.number, _restored(one, read)) for one in some)
    index = StateIndex()
    while held := _held.decode(next(frames)):
        _restore(index, held)
    return Checkpoint(
        reported=Cursor(epoch=head.epoch, n=head.reported),
        decided=Cursor(epoch=head.epoch, n=head.decided),
        listened=head.listened,
        lineage=head.lineage,
        members=members,
        earlier={},
        index=index,
        cut=BitMap.deserialize(head.cut),
        restarting=BitMap.deserialize(head.restarting),
        heard_at=head.heard_at,
        spoken=_by_number(head.spoken),
        habits=_by_number(head.habits),
    )


def _by_holders(by_number: Mapping[int, T]) -> list[tuple[T, bytes]]:
    """Return each once, with the machines that it is of."""
    found: dict[T, list[int]] = {}
    for number, one in by_number.items():
        found.setdefault(one, []).append(number)
    return [(one, BitMap(those).serialize()) for one, those in found.items()]


def _by_number(by_holders: Iterable[tuple[T, bytes]]) -> dict[int, T]:
    return {n: one for one, those in by_holders for n in BitMap.deserialize(those)}


def _frame(what: object) -> bytes:
    body = _encoder.encode(what)
    return len(body).to_bytes(_LENGTH) + body


def _frames(body: memoryview) -> Iterator[memoryview]:
    at = 0
    while at < len(body):
        start = at + _LENGTH
        at = start + int.from_bytes(body[at:start])
        yield body[start:at]


def _in_parts(some: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(some)
    while part := list(islice(rest, PART)):
        yield part


def _member(member: Member, told: Member) -> _Member:
    """Return the machine with what it told, perhaps earlier."""
    states = told.states
    return _Member(
        member.client,
        _bytes(states.required),
        _bytes(states.installed),
        _bytes(states.unknown),
        dict(states.shards),
        told.is_of_this_catalog,
        told.scan,
        told.scan_error,
        told.scanned_at,
        told.reported_at,
        told.aged_catalog,
    )


def _restored(one: _Member, shards: dict[str, Mapping[str, int]]) -> Member:
    states = States(
        required=_set(one.required),
        installed=_set(one.installed),
        unknown=_set(one.unknown),
        # Thousands of machines evaluated the same.
        shards=shards.setdefault(repr(one.shards), one.shards),
    )
    return Member(
        client=one.client,
        named=place_of(one.client),
        states=states,
        is_of_this_catalog=one.is_of_this_catalog,
        scan=one.scan,
        scan_error=one.scan_error,
        scanned_at=one.scanned_at,
        reported_at=one.reported_at,
        aged_catalog=one.aged_catalog,
    )


def _all_held(index: StateIndex) -> Iterator[_Held]:
    for kind, by_leaf in (
        (REQUIRED, index.required),
        (INSTALLED, index.installed),
        (UNKNOWN, index.unknown),
    ):
        # Whoever follows reports meanwhile puts other sets in place of these.
        for leaf, machines in list(by_leaf.items()):
            yield _Held(kind, leaf, machines.serialize())
    for shard, serials in index.evaluated.items():
        for serial, machines in serials.items():
            yield _Held(EVALUATED + shard, serial, machines.serialize())


def _restore(index: StateIndex, held: Iterable[_Held]) -> None:
    places = {REQUIRED: index.required, INSTALLED: index.installed, UNKNOWN: index.unknown}
    for one in held:
        shard = one.kind.removeprefix(EVALUATED)
        place = index.evaluated[shard] if shard != one.kind else places[one.kind]
        place[one.number] = BitMap.deserialize(one.machines)


def _bytes(some: BitMap) -> bytes:
    return some.serialize() if some else b""


def _set(data: bytes) -> BitMap:
    return BitMap.deserialize(data) if data else NONE
