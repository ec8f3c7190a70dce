"""Publishing the catalog: leaves stored, files written, the index signed.

The database says what a shard holds at which serial (`publication`); the published files follow
it, and never go back: who has built an older index than the signed one drops it. What a crash or
a failure leaves in between is mended by `catch_up`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from uuid import uuid4

import msgspec

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.updates import LineageId
from patchtide.domain.errors import InvalidDocument, Problem, StaleRevision
from patchtide.server import publication
from patchtide.server.ports.catalog import CatalogReading
from patchtide.server.ports.catalog_status import PublishedShard
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.publication import NumberClash, Part, ShardRecord
from patchtide.server.shard_files import LINEAGE, CatalogContent, CatalogSigner, ShardFiles
from patchtide.server.shard_writing import ShardWriter
from patchtide.wire.messages import decode, encode
from patchtide.wire.shard_plan import role_of
from patchtide.wire.shards import ShardIndexV1

log = logging.getLogger(__name__)

_SHARD = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
"""It becomes a folder, a part of signed paths and of addresses."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What became of a publication: the shard's serial and the number of every leaf in it."""

    serial: int
    leaves: tuple[Leaf, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A serial that waits for a signature: nobody sees it before."""

    claim: bytes
    """Empty: the serial is in force already, and only its signature is missing."""
    serial: int
    index: bytes
    leaves: int
    drops: int
    """How many of them change."""


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
        self._writer = ShardWriter(
            files=self._files, reading=reading, decisions=decisions, clock=clock
        )
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
            put = await self._put_in(
                actor, shard, parts, claim=claim, expected_serial=expected_serial
            )
            gone = sum(len(part.drops) for part in parts)
            finish = partial(
                publication.finish, shard=shard, claim=claim, leaves=len(put), drops=gone
            )
            done = Publication(serial=await self._decide(actor, finish), leaves=put)
        await self._writer.write(shard)
        self._published(self.serials())
        return done

    async def prepare(
        self, actor: str, shard: str, *, leaves: Sequence[Leaf], drops: Sequence[int]
    ) -> Prepared | None:
        """Put in what the next serial is to be, and write its files; nothing of it is in force.

        None: nothing changes, and what is in force is signed. Another preparation of the shard, or
        a publication, takes this one's place.

        Raises:
            InvalidDocument, NumberClash, StaleRevision: as `publish` does.
        """
        parts = list(publication.parts_of(leaves, drops))
        claim = uuid4().bytes if parts else b""
        async with self._deciding:
            if parts:
                await self._put_in(actor, shard, parts, claim=claim, expected_serial=None)
            signed, record = await asyncio.to_thread(self._writer.standing, shard)
            if not parts and (signed.serial if signed else 0) == record.serial:
                return None
            ahead = msgspec.structs.replace(record, serial=record.serial + bool(parts))
            index, _ = await asyncio.to_thread(self._files.build, shard, ahead, before=signed)
        return Prepared(
            claim=claim,
            serial=index.serial,
            index=encode(index),
            leaves=len(leaves),
            drops=len(drops),
        )

    async def enact(self, actor: str, shard: str, prepared: Prepared, metadata: bytes) -> None:
        """Put in force what was prepared, with the role's metadata that was signed for it.

        Raises:
            StaleRevision: something else was prepared or published meanwhile.
            Refused: the metadata is not what can be published now.
        """
        signed = publication.SignedElsewhere(serial=prepared.serial, metadata=metadata)

        def work(tx: Transaction) -> None:
            if prepared.claim:
                publication.finish(
                    tx,
                    shard,
                    claim=prepared.claim,
                    leaves=prepared.leaves,
                    drops=prepared.drops,
                )
            elif publication.locked_record(tx, shard).serial != prepared.serial:
                raise StaleRevision(f"{shard} was published anew meanwhile")
            publication.put_signed(tx, shard, signed)

        async with self._deciding:
            await self._decide(actor, work)
        await self._writer.write(shard)
        self._published(self.serials())

    async def _put_in(
        self,
        actor: str,
        shard: str,
        parts: Sequence[Part],
        *,
        claim: bytes,
        expected_serial: int | None,
    ) -> tuple[Leaf, ...]:
        try:
            return await self._put_parts(
                actor, shard, parts, claim=claim, expected_serial=expected_serial
            )
        except NumberClash as clash:
            await self._note_clash(actor, shard, clash)
            while await self._decide(actor, partial(publication.give_up, shard=shard, claim=claim)):
                pass
            raise

    async def _put_parts(
        self,
        actor: str,
        shard: str,
        parts: Sequence[Part],
        *,
        claim: bytes,
        expected_serial: int | None,
    ) -> tuple[Leaf, ...]:
        numbered: list[Leaf] = []
        begin = partial(
            publication.begin, shard=shard, claim=claim, expected_serial=expected_serial
        )
        while await self._decide(actor, begin):
            pass
        for part in parts:
            put = partial(publication.put_part, shard=shard, part=part, claim=claim)
            numbered += await self._decide(actor, put)
        return tuple(numbered)

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
            await self._begin()
        for name in await asyncio.to_thread(self._behind):
            try:
                await self._writer.write(name)
                self._failing.discard(name)
            except Exception:
                if name not in self._failing:  # each failure is told once, not every minute
                    log.exception("%s is not published", name)
                self._failing.add(name)
        self._published(self.serials())

    async def _begin(self) -> None:
        # Another node that begins at the same moment is as good as this one.
        with contextlib.suppress(StaleRevision):
            await self._decisions.decide("system", "catalog.begin", _lineage, now=self._clock.now())

    async def stay_fresh(self) -> None:
        """Sign a new timestamp if the last one is a day old: agents believe one for a week."""
        await self._writer.stay_fresh()
        self._published(self.serials())

    def lineage(self) -> LineageId:
        return self._files.lineage()

    def naming(self, digests: Collection[bytes]) -> set[bytes]:
        """Return those of the digests that a leaf of any shard names, or a shard's index."""
        return self._files.naming(digests)

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
        found = {name: self._writer.record(name) for name in self._reading.shards()}
        # A first publication that has not ended yet has leaves, but no serial.
        return {name: record for name, record in found.items() if record.serial}

    def _behind(self) -> list[str]:
        # What is signed is read first: the database comes before it, so it is never behind.
        signed = self._files.signed(self._reading.shards())
        return [n for n, shard in self._shards().items() if not _is_out(shard, signed.get(n))]


def _lineage(tx: Transaction) -> None:
    if tx.setting(LINEAGE) is None:
        tx.put_setting(LINEAGE, uuid4().bytes)
        tx.note("catalog", began=True)


def _is_out(record: ShardRecord, signed: ShardIndexV1 | None) -> bool:
    return signed is not None and signed.serial == record.serial and record.index == encode(signed)
