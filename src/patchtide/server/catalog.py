"""Publishing the catalog: leaves stored, files written, the index signed.

The database says what a shard holds at which serial (`publication`); the published files follow
it. A crash in between is mended by `catch_up`: publishing a serial again makes the same files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Protocol, TypeVar
from uuid import uuid4

import msgspec

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.updates import LineageId
from patchtide.server import publication
from patchtide.server.ports.catalog_status import PublishedShard
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.storage import CatalogReading, Decisions, Transaction
from patchtide.server.publication import NumberClash, Part, ShardRecord
from patchtide.wire.leaves import LeafEntryV1, entry
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
PUBLISHED = "catalog.published"
"""The event of an index that is signed and there for machines to read."""
BASE_EVERY = 16
"""A base is large and packs slowly; deltas lead on from the last one."""
T = TypeVar("T")


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


class CatalogPublisher:
    """Writes shards. One publication of a shard at a time: the latest to begin goes through."""

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
        self._deciding = asyncio.Lock()
        self._writing = asyncio.Lock()

    async def publish(
        self, actor: str, shard: str, *, leaves: Sequence[Leaf] = (), drops: Sequence[int] = ()
    ) -> Publication:
        """Put leaves into a shard, or take some out, as its next serial.

        A leaf with number 0 is new and gets its number here; every other keeps its own.

        Raises:
            NumberClash: a number was never allotted, or is another role's or update's.
            StaleRevision: another node has begun to publish this shard meanwhile.
        """
        parts = list(publication.parts_of(leaves, drops))
        claim = uuid4().bytes
        async with self._deciding:
            try:
                done = await self._put_in_force(actor, shard, parts, claim=claim)
            except NumberClash as clash:
                await self._note_clash(actor, shard, clash)
                while await self._decide(
                    actor, partial(publication.give_up, shard=shard, claim=claim)
                ):
                    pass
                raise
        await self._write([shard])
        return done

    async def _put_in_force(
        self, actor: str, shard: str, parts: Sequence[Part], *, claim: bytes
    ) -> Publication:
        numbered: list[Leaf] = []
        while await self._decide(actor, lambda tx: publication.begin(tx, shard, claim=claim)):
            pass
        for part in parts:
            put = partial(publication.put_part, shard=shard, part=part, claim=claim)
            numbered += await self._decide(actor, put)
        gone = sum(len(part.drops) for part in parts)
        finish = partial(
            publication.finish, shard=shard, claim=claim, leaves=len(numbered), drops=gone
        )
        return Publication(serial=await self._decide(actor, finish), leaves=tuple(numbered))

    async def _decide(self, actor: str, work: Callable[[Transaction], T]) -> T:
        return await self._decisions.decide(actor, "catalog.publish", work, now=self._clock.now())

    async def _note_clash(self, actor: str, shard: str, clash: NumberClash) -> None:
        def work(tx: Transaction) -> None:
            tx.note(shard, refused=str(clash), leaves=len(clash.numbers), first=clash.numbers[0])

        await self._decisions.decide(actor, "catalog.number-clash", work, now=self._clock.now())

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

    def _shards(self) -> dict[str, ShardRecord]:
        found = {name: self._record(name) for name in self._reading.shards()}
        # A first publication that has not ended yet has leaves, but no serial.
        return {name: record for name, record in found.items() if record.serial}

    def _record(self, name: str) -> ShardRecord:
        return publication.read_record(self._reading.setting(publication.RECORD + name))

    async def _write(self, shards: Sequence[str]) -> None:
        async with self._writing:
            for name in shards:
                # Another node may have put a later serial in force meanwhile.
                while await self._remember(name, *await asyncio.to_thread(self._files, name)):
                    pass
                await self._tidy(name)
            self._published(self.serials())

    def _files(self, name: str) -> tuple[ShardIndexV1, int]:
        """Write what the shard's serial needs and sign its index. May be done again."""
        record = self._record(name)
        before = decode(record.index, ShardIndexV1) if record.index else None
        held = self._entries(name, at=record.serial)
        index = self._index(name, record.serial, held=held, before=before)
        self._signer.publish(role_of(name), {target_of(name): encode(index)}, self._clock.now())
        return index, len(held)

    def _index(
        self,
        name: str,
        serial: int,
        *,
        held: Mapping[int, LeafEntryV1],
        before: ShardIndexV1 | None,
    ) -> ShardIndexV1:
        lineage = self.lineage()
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
        upserts = self._entries(name, at=serial, after=start)
        packed = pack_document(
            DeltaV1(
                lineage=self.lineage(),
                shard=name,
                from_serial=start,
                to_serial=serial,
                digest=digest,
                upserts=tuple(upserts[number] for number in sorted(upserts)),
                drops=tuple(self._reading.drops(name, at=serial, after=start)),
            )
        )
        self._content.put(packed)
        return DeltaFileV1(start, serial, len(packed), sha256(packed).digest())

    def _entries(self, name: str, *, at: int, after: int = 0) -> dict[int, LeafEntryV1]:
        stored = self._reading.leaves(name, at=at, after=after)
        return {leaf.number: entry(leaf.number, leaf.revision, leaf.document) for leaf in stored}

    async def _remember(self, name: str, index: ShardIndexV1, leaves: int) -> bool:
        """Note what is published; True: a later serial is in force already."""
        now = self._clock.now()

        def work(tx: Transaction) -> bool:
            record = publication.locked_record(tx, name)
            known = msgspec.structs.replace(
                record, published_at=now.timestamp(), leaves=leaves, index=encode(index)
            )
            publication.put_record(tx, name, known)
            tx.note(name, serial=index.serial, leaves=leaves)
            return record.serial > index.serial

        return await self._decisions.decide("system", PUBLISHED, work, now=now)

    async def _tidy(self, name: str) -> None:
        """Remove replaced revisions; those of the last step stay for whoever is reading them."""
        before, limit = self._record(name).serial, publication.SLICE

        def work(tx: Transaction) -> int:
            return tx.forget_replaced_leaves(name, before=before, limit=limit)

        while await self._decisions.decide("system", "catalog.tidy", work, now=self._clock.now()):
            pass


def _lineage(tx: Transaction) -> None:
    if tx.setting(LINEAGE) is None:
        tx.put_setting(LINEAGE, uuid4().bytes)
        tx.note("catalog", began=True)
