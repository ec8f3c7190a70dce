"""The published files of shards follow what the database has in force, and never go back.

Who comes to sign an older index than the signed one drops it; a database that was put back to
before what is signed goes on above it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar
from uuid import uuid4

import msgspec

from patchtide.domain.errors import Refused
from patchtide.server import publication
from patchtide.server.ports.catalog import CatalogReading
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.publication import ShardRecord
from patchtide.server.shard_files import Overtaken, ShardFiles
from patchtide.wire.messages import decode, encode
from patchtide.wire.shard_plan import role_of
from patchtide.wire.shards import ShardIndexV1

log = logging.getLogger(__name__)

PUBLISHED = "catalog.published"
"""The event of an index that is signed and there for machines to read."""
T = TypeVar("T")


class ShardWriter:
    """Writes one shard at a time, as the database has it by then."""

    def __init__(
        self, *, files: ShardFiles, reading: CatalogReading, decisions: Decisions, clock: Clock
    ) -> None:
        self._files = files
        self._reading = reading
        self._decisions = decisions
        self._clock = clock
        self._writing = asyncio.Lock()

    def record(self, name: str) -> ShardRecord:
        return publication.read_record(self._reading.setting(publication.RECORD + name))

    async def stay_fresh(self) -> None:
        """Sign a new timestamp if the last one is a day old."""
        async with self._writing:
            await asyncio.to_thread(self._files.signer.keep_fresh, self._clock.now())

    async def _decide(self, work: Callable[[Transaction], T]) -> T:
        now = self._clock.now()
        return await self._decisions.decide("system", "catalog.publish", work, now=now)

    async def write(self, name: str) -> None:
        """Publish the serial in force of one shard, whatever it takes."""
        async with self._writing:
            # Another node may put a later serial in force, or sign one, meanwhile.
            while not await self._is_written(name):
                pass
            await self._tidy(name)

    async def _is_written(self, name: str) -> bool:
        """Come nearer to a signed index of the serial in force; say whether it is there."""
        signed, record = await asyncio.to_thread(self.standing, name)
        if signed is not None and signed.serial > record.serial:
            await self._lift(name, signed.serial)
            return False
        if signed is not None and signed.serial == record.serial:
            held = await asyncio.to_thread(self._files.entries, name, at=signed.serial)
            return await self._remember(name, signed, len(held))
        if await asyncio.to_thread(self._is_signed_elsewhere, name, record.serial):
            return False
        try:
            index, leaves = await asyncio.to_thread(
                self._files.write, name, record, self._clock.now(), before=signed
            )
        except Overtaken:
            return False
        return await self._remember(name, index, leaves)

    def _is_signed_elsewhere(self, name: str, serial: int) -> bool:
        """Publish what was signed elsewhere for this serial; say whether that was done."""
        held = publication.read_signed(self._reading.setting(publication.SIGNED + name))
        if held is None or held.serial != serial:
            return False
        try:
            self._files.signer.accept({role_of(name): held.metadata}, self._clock.now())
        except Refused as error:
            log.warning("what was signed for %s at %d is not taken: %s", name, serial, error)
            return False
        return True

    def standing(self, name: str) -> tuple[ShardIndexV1 | None, ShardRecord]:
        signed = self._files.signed([name]).get(name)
        return signed, self.record(name)

    async def _lift(self, name: str, signed: int) -> None:
        """Go on above what was signed: the database was put back to before that."""
        log.warning("%s was published up to %d, and the database is older", name, signed)
        claim = uuid4().bytes
        while await self._decide(lambda tx: publication.begin(tx, name, claim=claim)):
            pass
        await self._decide(lambda tx: publication.lift(tx, name, claim=claim, above=signed))

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
        before, limit = self.record(name).serial, publication.SLICE

        def work(tx: Transaction) -> int:
            return tx.forget_replaced_leaves(name, before=before, limit=limit)

        while await self._decisions.decide("system", "catalog.tidy", work, now=self._clock.now()):
            pass


def _noted(record: ShardRecord, lineage: bytes) -> int:
    index = decode(record.index, ShardIndexV1) if record.index else None
    return index.serial if index and index.lineage == lineage else 0
