"""Brings the catalog to where its feed is: fetch, verify, compare, publish what differs.

A shard belongs to one feed: what the feed no longer names leaves it, at a full synchronisation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.synchronisation import ShardChanges, changes
from patchtide.domain.errors import WrongState
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.feed import FeedContent, UpdateFeed
from patchtide.server.ports.storage import CatalogReading
from patchtide.server.publication import RECORD, read_record
from patchtide.wire.leaves import entry, read_leaves


class Publisher(Protocol):
    async def publish(
        self,
        actor: str,
        shard: str,
        *,
        leaves: Sequence[Leaf] = (),
        drops: Sequence[int] = (),
        expected_serial: int | None = None,
    ) -> object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Synchronised:
    """What the feed tells, and what of it was news."""

    content: FeedContent
    changed: Mapping[str, ShardChanges]
    """Shards that were published anew."""


class Synchronisation:
    """One feed's. The catalog stays as it is when anything of the feed is refused."""

    def __init__(
        self,
        *,
        feed: UpdateFeed,
        reading: CatalogReading,
        publisher: Publisher,
        clock: Clock,
        heard: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`heard` is told each step when it begins."""
        self._feed = feed
        self._reading = reading
        self._publisher = publisher
        self._clock = clock
        self._heard = heard
        self._running = asyncio.Lock()

    async def run(self, actor: str, *, full: bool = True) -> Synchronised:
        """Fetch and publish. Not `full`: only what is new; nothing is revised or dropped.

        Raises:
            WrongState: one is running already; a second one never starts beside it.
            StaleRevision: another node synchronised the same shard meanwhile.
            Unavailable, Refused: what the feed says, and what publishing does.
        """
        if self._running.locked():
            raise WrongState("a synchronisation is running already")
        async with self._running:
            await asyncio.to_thread(self._feed.fetch)
            self._heard("comparing")
            content = await asyncio.to_thread(self._feed.read, now=self._clock.now())
            changed: dict[str, ShardChanges] = {}
            for shard in content.shards:
                serial, made = await asyncio.to_thread(self._changes, shard, content, full=full)
                if made:
                    self._heard("publishing")
                    await self._publisher.publish(
                        actor,
                        shard,
                        leaves=made.upserts,
                        drops=made.drops,
                        expected_serial=serial,
                    )
                    changed[shard] = made
            return Synchronised(content=content, changed=changed)

    def _changes(self, shard: str, content: FeedContent, *, full: bool) -> tuple[int, ShardChanges]:
        # What is in force counts, whether its files could be signed already or not.
        serial = read_record(self._reading.setting(RECORD + shard)).serial
        stored = self._reading.leaves(shard, at=serial) if serial else ()
        held, _ = read_leaves(entry(x.number, x.revision, x.document) for x in stored)
        offered = [leaf for update in content.shards[shard] for leaf in update.leaves]
        return serial, changes(held, offered, only_new=not full)
