"""Brings the catalog to where its feed is: fetch, verify, compare, publish what differs.

A shard belongs to one feed: what the feed no longer names leaves it, at a full synchronisation.
How new each suite was is remembered here, since whoever can put an older one in its place, rightly
signed as it is, would make every newer fix leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import msgspec

from patchtide.domain.catalog.details import FeedUpdate, UpdateDetails
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.selection import chosen
from patchtide.domain.catalog.synchronisation import ShardChanges, changes
from patchtide.domain.errors import Refused, WrongState
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.feed import FeedContent, UpdateFeed
from patchtide.server.ports.storage import CatalogReading, Decisions, Transaction
from patchtide.server.publication import RECORD, read_record
from patchtide.server.synchronisation_plan import SELECTION, read_choices, selection_of
from patchtide.server.threads import Threads
from patchtide.wire.leaves import entry, read_leaves

DATES = "catalog.feed-dates"
"""Suite -> when the newest of it that was ever read had been signed, in epoch seconds."""


class FeedWentBack(Refused):
    """The feed is older than what it has told before."""

    code = "feed-went-back"


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


Fence = Callable[[Transaction], object]
"""Raises StaleRevision in a transaction of whoever must not write any more."""


class DetailsKeeper(Protocol):
    async def keep(self, updates: Iterable[UpdateDetails], *, fence: Fence) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Synchronised:
    """What the feed tells, and what of it was news."""

    content: FeedContent
    """Only what the site has chosen."""
    changed: Mapping[str, ShardChanges]
    """Shards that were published anew."""
    left_out: int = 0
    """How many updates it tells of that were not chosen."""


class Synchronisation:
    """One feed's. The catalog stays as it is when anything of the feed is refused."""

    def __init__(
        self,
        *,
        feed: UpdateFeed,
        reading: CatalogReading,
        decisions: Decisions,
        publisher: Publisher,
        details: DetailsKeeper,
        clock: Clock,
        heard: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`heard` is told each step when it begins."""
        self._feed = feed
        self._reading = reading
        self._decisions = decisions
        self._publisher = publisher
        self._details = details
        self._clock = clock
        self._heard = heard
        self._threads = Threads("feed", count=1)
        self._running = asyncio.Lock()

    async def run(
        self, actor: str, *, full: bool = True, fence: Fence = lambda tx: None
    ) -> Synchronised:
        """Fetch and publish. Not `full`: only what is new; nothing is revised or dropped.

        A feed that is not whole brings only what is new too: what it does not name may be in what
        is missing.

        Raises:
            WrongState: one is running already; a second one never starts beside it.
            FeedWentBack: a suite is older than it was before.
            StaleRevision: another node synchronised the same shard meanwhile.
            Unavailable, Refused: what the feed says, and what publishing does.
        """
        if self._running.locked():
            raise WrongState("a synchronisation is running already")
        async with self._running:
            await self._threads.run(self._feed.fetch)
            self._heard("comparing")
            told = await self._threads.run(partial(self._feed.read, now=self._clock.now()))
            content = await self._threads.run(partial(self._chosen, told))
            # Read before it is asked how new the content is: if another node has newer content,
            # that one publishes after this one, or this one does not publish.
            serials = await asyncio.to_thread(self._serials, content)
            await self._remember(actor, content, fence)
            full = full and content.is_whole
            # First what people read: nobody should see an update that nothing is told of.
            await self._details.keep(_details_of(content), fence=fence)
            changed: dict[str, ShardChanges] = {}
            for shard, serial in serials.items():
                offered = content.shards[shard]
                made = await asyncio.to_thread(self._changes, shard, serial, offered, full=full)
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
            left_out = sum(map(len, told.shards.values())) - sum(map(len, content.shards.values()))
            return Synchronised(content=content, changed=changed, left_out=left_out)

    def _chosen(self, told: FeedContent) -> FeedContent:
        selection = selection_of(read_choices(self._reading.setting(SELECTION)))
        if not selection:
            return told
        shards = {name: chosen(updates, selection) for name, updates in told.shards.items()}
        return replace(told, shards=shards)

    async def _remember(self, actor: str, content: FeedContent, fence: Fence) -> None:
        now = self._clock.now()
        told = {suite: at.timestamp() for suite, at in content.as_of.items()}

        def work(tx: Transaction) -> None:
            fence(tx)
            known = _dates(tx.lock_setting(DATES))
            _require_no_older(told, known)
            tx.put_setting(DATES, msgspec.msgpack.encode(known | told))
            tx.note("feed", suites=len(told.items() - known.items()))

        known = _dates(await asyncio.to_thread(self._reading.setting, DATES))
        _require_no_older(told, known)
        if told.items() - known.items():
            await self._decisions.decide(actor, DATES, work, now=now)

    def _serials(self, content: FeedContent) -> Mapping[str, int]:
        """Return what is in force, whether its files could be signed already or not."""
        records = {shard: self._reading.setting(RECORD + shard) for shard in content.shards}
        return {shard: read_record(data).serial for shard, data in records.items()}

    def _changes(
        self, shard: str, serial: int, updates: Sequence[FeedUpdate], *, full: bool
    ) -> ShardChanges:
        stored = self._reading.leaves(shard, at=serial) if serial else ()
        held, _ = read_leaves(entry(x.number, x.revision, x.document) for x in stored)
        offered = [leaf for update in updates for leaf in update.leaves]
        return changes(held, offered, only_new=not full)


def _details_of(content: FeedContent) -> Iterator[UpdateDetails]:
    return (update.details for shard in content.shards.values() for update in shard)


def _dates(data: bytes | None) -> dict[str, float]:
    return msgspec.msgpack.decode(data, type=dict[str, float]) if data else {}


def _require_no_older(told: Mapping[str, float], known: Mapping[str, float]) -> None:
    for suite, at in told.items():
        if at < known.get(suite, at):
            now, before = (f"{datetime.fromtimestamp(x, UTC):%F %R}" for x in (at, known[suite]))
            raise FeedWentBack(f"{suite} was signed at {now}; what was read before, at {before}")
