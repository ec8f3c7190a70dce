"""One node that publishes: a real database, real files, real signatures.

As a program it publishes once and dies at a given transaction:

    python node.py URL FOLDER SHARD FIRST COUNT DIE-BEFORE
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from patchtide.adapters.content.files import FileContentStore
from patchtide.adapters.storage import Storage
from patchtide.adapters.trust.keys import KeyFolder
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import OperatingSystem
from patchtide.domain.catalog.updates import Origin, Revision, UpdateNumber, update_id
from patchtide.server.catalog import CatalogPublisher
from patchtide.server.descriptions import Descriptions
from patchtide.server.fleet import Fleet
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.feed import UpdateFeed
from patchtide.server.publication import RECORD, read_record
from patchtide.wire.leaves import LeafEntryV1
from patchtide.wire.messages import decode
from patchtide.wire.shard_plan import plan
from patchtide.wire.shards import BaseFileV1, ShardIndexV1, apply_delta, read_base, read_delta
from tests.simulator.clock import FakeClock

T = TypeVar("T")


def a_leaf(name: str, *, number: int = 0, revision: int = 1) -> Leaf:
    debian = OperatingSystem("debian", ("12",))
    return Leaf(
        number=UpdateNumber(number),
        revision=Revision(revision),
        update=update_id("test", name),
        title=name,
        prerequisite=debian,
        applicable=debian,
        installed=debian,
        origin=Origin("feed:test"),
    )


def leaves(first: int, count: int) -> list[Leaf]:
    return [a_leaf(f"pkg-{n}") for n in range(first, first + count)]


@dataclass
class Interruptible:
    """The storage's decisions, with something else going on before one of them."""

    storage: Storage
    before: Callable[[str, int], Any] | None = None
    count: int = 0

    async def decide(
        self, actor: str, operation: str, work: Callable[[Transaction], T], *, now: datetime
    ) -> T:
        self.count += 1
        if self.before is not None and (pause := self.before(operation, self.count)) is not None:
            await pause
        return await self.storage.decide(actor, operation, work, now=now)


@dataclass
class Node:
    storage: Storage
    folder: Path
    told: list[Mapping[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = clock = FakeClock()
        self.decisions = Interruptible(self.storage)
        self.signer = signer = TrustRepository(
            self.folder / "published", KeyFolder(self.folder / "keys")
        )
        signer.create(clock.now())
        self.content = FileContentStore(self.folder / "content")
        self.catalog = CatalogPublisher(
            decisions=self.decisions,
            reading=self.storage,
            content=self.content,
            signer=self.signer,
            clock=clock,
            published=self.told.append,
        )
        self.details = self.descriptions()

    def descriptions(self, feed: UpdateFeed | None = None) -> Descriptions:
        return Descriptions(
            feed=feed,
            decisions=self.storage,
            reading=self.storage,
            fleet=Fleet(self.storage, self.catalog, self.clock, patience_s=10),
            clock=self.clock,
        )

    async def publish(self, shard: str, *upserts: Leaf, drops: Sequence[int] = ()) -> list[int]:
        """Publish, and return the numbers of the leaves."""
        done = await self.catalog.publish("admin", shard, leaves=upserts, drops=drops)
        return [int(leaf.number) for leaf in done.leaves]

    def index(self, shard: str) -> ShardIndexV1:
        return decode(read_record(self.storage.setting(RECORD + shard)).index, ShardIndexV1)

    def fetched(self, shard: str, held: Mapping[int, LeafEntryV1], *, serial: int) -> list[str]:
        """Bring what a machine has at a serial to the published one; return the leaves' titles."""
        index = self.index(shard)
        lineage = self.catalog.lineage()
        for file in plan(index, serial):
            packed = self.content.path(file.sha256.hex()).read_bytes()
            if isinstance(file, BaseFileV1):
                serial, held = read_base(packed, lineage=lineage, shard=shard)
            else:
                held = apply_delta(held, serial, read_delta(packed, lineage=lineage, shard=shard))
                serial = file.to_serial
        return sorted(title_of(leaf) for leaf in held.values())


def title_of(leaf: LeafEntryV1) -> str:
    return str(msgspec.msgpack.decode(leaf.document)["title"])


@asynccontextmanager
async def node(url: str, folder: Path) -> AsyncIterator[Node]:
    storage = Storage.open(url)
    try:
        made = Node(storage, folder)
        await made.catalog.catch_up()
        yield made
    finally:
        await storage.close()


async def publish_and_die(url: str, folder: Path, shard: str, which: Sequence[int]) -> None:
    first, count, die_before = which

    def before(operation: str, number: int) -> None:
        if number == die_before:
            os.kill(os.getpid(), signal.SIGKILL)

    async with node(url, folder) as this:
        this.decisions.before, this.decisions.count = before, 0
        await this.publish(shard, *leaves(first, count))


if __name__ == "__main__":
    _, url, folder, shard, *numbers = sys.argv
    asyncio.run(publish_and_die(url, Path(folder), shard, [int(n) for n in numbers]))
