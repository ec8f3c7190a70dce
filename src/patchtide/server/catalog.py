"""Publishing the catalog: leaves stored, files written, the index signed.

The database says what a shard holds at which serial (`publication`); the published files follow
it, and never go back: who has built an older index than the signed one drops it. What a crash or
a failure leaves in between is mended by `catch_up`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from uuid import uuid4

import msgspec

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.updates import LineageId
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server import publication
from patchtide.server.ports.catalog import CatalogReading
from patchtide.server.ports.catalog_status import PublishedShard
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.publication import NumberClash, Part, ShardRecord
from patchtide.server.shard_files import (
    LINEAGE,
    CatalogContent,
    CatalogSigner,
    Overtaken,
    ShardFiles,
)
from patchtide.wire.messages import decode, encode
from patchtide.wire.shard_plan import role_of
from patchtide.wire.shards import ShardIndexV1

log = logging.getLogger(__name__)

PUBLISHED = "catalog.published"
"""The event of an index that is signed and there for machines to read."""
_SHARD = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
"""It becomes a folder, a part of signed paths and of addresses."""
T = TypeVar("T")


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
        self._files = ShardFiles(reading=reading, content=content, signer=signer)
        self._clock = clock
        self._published = published
        self._deciding = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._failing: set[str] = set()

    async def publish(
        self,
        actor: str,
        shard: str,
        *,
        leaves: Sequence[Leaf] = (),
        drops: Sequence[int] = (),
        expected_serial: int | None = None,
    ) -> Publication:
        """Put leaves into a shard, or take some out, as its next serial.

        A leaf with number 0 is new and gets its number here; every other keeps its own. Whoever
        read the shard to see what changes says at which serial, `expected_serial`.

        Raises:
            InvalidDocument: the shard's name is none, or a number stands there twice.
            KeysElsewhere: this server could not sign it.
            NumberClash: a number was never allotted, or is another role's or update's.
            StaleRevision: another node has begun to publish this shard meanwhile, or has done so.
        """
        # What is in force has to be signed, so whatever would prevent that is asked before.
        if not _SHARD.fullmatch(shard):
            raise InvalidDocument([Problem("shard", f"{shard!r} is no name of a shard")])
        await asyncio.to_thread(self._files.signer.require_keys, role_of(shard))
        parts = list(publication.parts_of(leaves, drops))
        claim = uuid4().bytes
        async with self._deciding:
            try:
                done = await self._put_in_force(
                    actor, shard, parts, claim=claim, expected_serial=expected_serial
                )
            except NumberClash as clash:
                await self._note_clash(actor, shard, clash)
                while await self._decide(
                    actor, partial(publication.give_up, shard=shard, claim=claim)
                ):
                    pass
                raise
        await self._write(shard)
        self._published(self.serials())
        return done

    async def _put_in_force(
        self,
        actor: str,
        shard: str,
        parts: Sequence[Part],
        *,
        claim: bytes,
        expected_serial: int | None,
    ) -> Publication:
        numbered: list[Leaf] = []
        begin = partial(
            publication.begin, shard=shard, claim=claim, expected_serial=expected_serial
        )
        while await self._decide(actor, begin):
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
        """Publish whatever the database holds that is not published yet; at start, and again.

        A shard that cannot be published is logged, and keeps neither others nor the server back.
        """
        if self._reading.setting(LINEAGE) is None:
            await self._decisions.decide("system", "catalog.begin", _lineage, now=self._clock.now())
        for name in await asyncio.to_thread(self._behind):
            try:
                await self._write(name)
                self._failing.discard(name)
            except Exception:
                if name not in self._failing:  # each failure is told once, not every minute
                    log.exception("%s is not published", name)
                self._failing.add(name)
        self._published(self.serials())

    async def stay_fresh(self) -> None:
        """Sign a new timestamp if the last one is a day old: agents believe one for a week."""
        async with self._writing:
            await asyncio.to_thread(self._files.signer.keep_fresh, self._clock.now())
        self._published(self.serials())

    def lineage(self) -> LineageId:
        return self._files.lineage()

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

    def _behind(self) -> list[str]:
        # What is signed is read first: the database comes before it, so it is never behind.
        signed = self._files.signed(self._reading.shards())
        return [n for n, shard in self._shards().items() if not _is_out(shard, signed.get(n))]

    async def _write(self, name: str) -> None:
        async with self._writing:
            # Another node may put a later serial in force, or sign one, meanwhile.
            while not await self._is_written(name):
                pass
            await self._tidy(name)

    async def _is_written(self, name: str) -> bool:
        """Come nearer to a signed index of the serial in force; say whether it is there."""
        signed, record = await asyncio.to_thread(self._standing, name)
        if signed is not None and signed.serial > record.serial:
            await self._lift(name, signed.serial)
            return False
        if signed is not None and signed.serial == record.serial:
            held = await asyncio.to_thread(self._files.entries, name, at=signed.serial)
            return await self._remember(name, signed, len(held))
        try:
            index, leaves = await asyncio.to_thread(
                self._files.write, name, record, self._clock.now(), before=signed
            )
        except Overtaken:
            return False
        return await self._remember(name, index, leaves)

    def _standing(self, name: str) -> tuple[ShardIndexV1 | None, ShardRecord]:
        signed = self._files.signed([name]).get(name)
        return signed, self._record(name)

    async def _lift(self, name: str, signed: int) -> None:
        """Go on above what was signed: the database was put back to before that."""
        log.warning("%s was published up to %d, and the database is older", name, signed)
        claim = uuid4().bytes
        while await self._decide("system", lambda tx: publication.begin(tx, name, claim=claim)):
            pass
        await self._decide(
            "system", lambda tx: publication.lift(tx, name, claim=claim, above=signed)
        )

    async def _remember(self, name: str, index: ShardIndexV1, leaves: int) -> bool:
        """Note what is published, or that it is more; False: a later serial is in force."""
        now = self._clock.now()

        def work(tx: Transaction) -> bool:
            record = publication.locked_record(tx, name)
            if _noted(record, index.lineage) <= index.serial:
                known = msgspec.structs.replace(
                    record, published_at=now.timestamp(), leaves=leaves, index=encode(index)
                )
                publication.put_record(tx, name, known)
                tx.note(name, serial=index.serial, leaves=leaves)
            return record.serial == index.serial

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


def _is_out(record: ShardRecord, signed: ShardIndexV1 | None) -> bool:
    return signed is not None and signed.serial == record.serial and record.index == encode(signed)


def _noted(record: ShardRecord, lineage: bytes) -> int:
    index = decode(record.index, ShardIndexV1) if record.index else None
    return index.serial if index and index.lineage == lineage else 0
