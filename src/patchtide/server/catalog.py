"""Publishing the catalog: numbers allotted, leaves stored, files written, the index signed.

The database says what a shard holds at which serial; the published files follow it. A crash in
between is mended by `catch_up`: publishing a serial again makes the same files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Protocol
from uuid import uuid4

import msgspec

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.updates import LineageId, UpdateNumber
from patchtide.server.ports.catalog_status import PublishedShard
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.storage import CatalogReading, Decisions, StoredLeaf, Transaction
from patchtide.wire.leaves import LeafEntryV1, encode_leaf, entry
from patchtide.wire.messages import decode, encode
from patchtide.wire.shard_plan import deltas_due, listed, role_of, target_of
from patchtide.wire.shards import (
    BaseFileV1,
    DeltaFileV1,
    DeltaV1,
    ShardIndexV1,
    digest_of,
    make_base,
    pack_document,
)

LINEAGE = "catalog.lineage"
_SHARD = "catalog.shard."
BASE_EVERY = 16
"""A base is large and packs slowly; deltas lead on from the last one."""


class CatalogSigner(Protocol):
    def publish(
        self, role: str, files: Mapping[str, bytes], now: datetime, *, gone: Iterable[str] = ()
    ) -> None: ...

    def refresh_timestamp(self, now: datetime) -> None: ...


class CatalogContent(Protocol):
    def put(self, data: bytes) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What became of a publication: the shard's serial and the number of every leaf in it."""

    serial: int
    leaves: tuple[Leaf, ...]


class _Shard(msgspec.Struct, frozen=True):
    """What the database keeps of a shard, and what of it is published."""

    serial: int
    published_at: float = 0.0
    leaves: int = 0
    index: bytes = b""
    """The last published index; empty before the first."""


class CatalogPublisher:
    """Writes shards. One node at a time publishes a shard: the decision is the lock."""

    def __init__(
        self,
        *,
        decisions: Decisions,
        reading: CatalogReading,
        content: CatalogContent,
        signer: CatalogSigner,
        clock: Clock,
        published: Callable[[Mapping[str, int]], None],
    ) -> None:
        self._decisions = decisions
        self._reading = reading
        self._content = content
        self._signer = signer
        self._clock = clock
        self._published = published
        self._writing = asyncio.Lock()

    async def publish(
        self, actor: str, shard: str, *, leaves: Sequence[Leaf] = (), drops: Sequence[int] = ()
    ) -> Publication:
        """Put leaves into a shard, or take some out, as its next serial.

        A leaf with number 0 is new and gets its number here; every other keeps its own.
        """
        publication = await self._decisions.decide(
            actor,
            "catalog.publish",
            lambda tx: _decide(tx, shard, leaves, drops),
            now=self._clock.now(),
        )
        await self._write([shard])
        return publication

    async def catch_up(self) -> None:
        """Publish whatever the database holds that is not published yet; once at start."""
        if self._reading.setting(LINEAGE) is None:
            await self._decisions.decide("system", "catalog.begin", _lineage, now=self._clock.now())
        behind = [
            name
            for name, shard in self._shards().items()
            if not shard.index or decode(shard.index, ShardIndexV1).serial != shard.serial
        ]
        await self._write(behind)

    async def stay_fresh(self) -> None:
        """Sign a new timestamp: agents believe one for a few days only."""
        async with self._writing:
            await asyncio.to_thread(self._signer.refresh_timestamp, self._clock.now())
            self._published(self.serials())

    def lineage(self) -> LineageId:
        return LineageId(self._reading.setting(LINEAGE) or b"")

    def serials(self) -> dict[str, int]:
        """Return every published shard with its serial."""
        return {
            name: decode(shard.index, ShardIndexV1).serial
            for name, shard in self._shards().items()
            if shard.index
        }

    def shards(self) -> Sequence[PublishedShard]:
        return [
            PublishedShard(
                name=name,
                serial=shard.serial,
                leaves=shard.leaves,
                published_at=shard.published_at,
            )
            for name, shard in self._shards().items()
        ]

    def _shards(self) -> dict[str, _Shard]:
        return {
            name: _read(self._reading.setting(_SHARD + name)) for name in self._reading.shards()
        }

    async def _write(self, shards: Sequence[str]) -> None:
        async with self._writing:
            for name in shards:
                index = await asyncio.to_thread(self._write_files, name)
                await self._remember(name, index)
            self._published(self.serials())

    def _write_files(self, name: str) -> ShardIndexV1:
        """Write what the shard's serial needs and sign its index. May be done again."""
        shard = _read(self._reading.setting(_SHARD + name))
        before = decode(shard.index, ShardIndexV1) if shard.index else None
        index = self._index(name, shard.serial, before)
        self._signer.publish(role_of(name), {target_of(name): encode(index)}, self._clock.now())
        return index

    def _index(self, name: str, serial: int, before: ShardIndexV1 | None) -> ShardIndexV1:
        lineage = self.lineage()
        held = self._entries(name)
        digest = digest_of(lineage, held)
        since = before.serial if before else 0
        deltas = list(before.deltas) if before else []
        for start, _ in deltas_due(serial) if since < serial else ():
            deltas.append(self._delta(name, start, serial, digest))
        base = before.base if before else None
        # A gap in the steps (a crash before files were written) needs a base to start from.
        if base is None or serial - base.serial >= BASE_EVERY or serial - since > 1:
            packed = pack_document(make_base(lineage, name, serial=serial, leaves=held))
            base = BaseFileV1(serial, len(packed), bytes.fromhex(self._content.put(packed)))
        return ShardIndexV1(
            lineage=lineage,
            shard=name,
            serial=serial,
            digest=digest,
            base=base,
            deltas=listed(deltas, serial),
        )

    def _delta(self, name: str, start: int, serial: int, digest: bytes) -> DeltaFileV1:
        upserts = self._entries(name, after=start)
        packed = pack_document(
            DeltaV1(
                lineage=self.lineage(),
                shard=name,
                from_serial=start,
                to_serial=serial,
                digest=digest,
                upserts=tuple(upserts[number] for number in sorted(upserts)),
                drops=tuple(self._reading.drops(name, after=start)),
            )
        )
        self._content.put(packed)
        return DeltaFileV1(start, serial, len(packed), sha256(packed).digest())

    def _entries(self, name: str, *, after: int = 0) -> dict[int, LeafEntryV1]:
        stored = self._reading.leaves(name, after=after)
        return {leaf.number: entry(leaf.number, leaf.revision, leaf.document) for leaf in stored}

    async def _remember(self, name: str, index: ShardIndexV1) -> None:
        now = self._clock.now()
        count = len(self._reading.leaves(name))

        def work(tx: Transaction) -> None:
            known = msgspec.structs.replace(
                _read(tx.setting(_SHARD + name)),
                published_at=now.timestamp(),
                leaves=count,
                index=encode(index),
            )
            tx.put_setting(_SHARD + name, msgspec.msgpack.encode(known))

        await self._decisions.decide("system", "catalog.published", work, now=now)


def _read(data: bytes | None) -> _Shard:
    return msgspec.msgpack.decode(data, type=_Shard) if data else _Shard(0)


def _lineage(tx: Transaction) -> None:
    if tx.setting(LINEAGE) is None:
        tx.put_setting(LINEAGE, uuid4().bytes)
        tx.note("catalog", began=True)


def _decide(
    tx: Transaction, shard: str, leaves: Sequence[Leaf], drops: Sequence[int]
) -> Publication:
    held = _read(tx.setting(_SHARD + shard))
    serial = held.serial + 1
    fresh = sum(leaf.number == 0 for leaf in leaves)
    number = tx.allot_numbers(fresh) if fresh else 0
    numbered: list[Leaf] = []
    for leaf in leaves:
        if leaf.number == 0:
            leaf = replace(leaf, number=UpdateNumber(number))
            number += 1
        numbered.append(leaf)
    stored = [_stored(leaf, serial) for leaf in numbered]
    tx.put_leaves(shard, serial, upserts=stored, drops=drops)
    tx.put_setting(
        _SHARD + shard, msgspec.msgpack.encode(msgspec.structs.replace(held, serial=serial))
    )
    tx.note(shard, serial=serial, leaves=len(leaves), drops=len(drops))
    return Publication(serial=serial, leaves=tuple(numbered))


def _stored(leaf: Leaf, serial: int) -> StoredLeaf:
    encoded = encode_leaf(leaf)
    return StoredLeaf(
        number=leaf.number,
        revision=leaf.revision,
        update=leaf.update.bytes,
        document=encoded.body,
        entered_serial=serial,
    )
