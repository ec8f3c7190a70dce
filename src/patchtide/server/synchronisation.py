"""Brings the catalog to where its feed is: fetch, verify, compare, publish what differs.

A shard belongs to one feed: what the feed no longer names leaves it, at a full synchronisation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar
from uuid import UUID

import msgspec

from patchtide import __version__
from patchtide.domain.catalog.details import FeedUpdate, UpdateDetails
from patchtide.domain.catalog.selection import chosen
from patchtide.domain.catalog.synchronisation import (
    ShardChanges,
    changes,
    offered_leaves,
)
from patchtide.domain.catalog.updates import UpdateId
from patchtide.domain.errors import WrongState
from patchtide.server.feed_dates import DATES, dates_of, read_dates, remember, require_fit
from patchtide.server.garbage_collection import without_collection
from patchtide.server.offered import Offered, offered_by, remember_offered
from patchtide.server.ports.catalog import CatalogReading
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.ports.feed import FeedContent, FeedHead, UpdateFeed, Wanted
from patchtide.server.ports.synchronising import DetailsKeeper, Fence, Publisher, VendorKeeper
from patchtide.server.publication import RECORD, read_record
from patchtide.server.shard_differences import differing, read_stored
from patchtide.server.synchronisation_plan import SELECTION, read_choices, selection_of
from patchtide.server.threads import Threads
from patchtide.wire.shard_plan import FEEDS, role_of

APPLIED = "catalog.feed-applied"

T = TypeVar("T")
_Changed = tuple[ShardChanges, frozenset[UpdateId]]
"""How a shard changes, and the updates that leave it by that."""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalog holds already: the same told again, and chosen again, changes nothing."""

    stamp: bytes
    selection: bytes
    version: str
    """Of this program: another one may make something else of the same content."""
    full: bool
    updates: int
    left_out: int
    untold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Synchronised:
    """What the feed tells, and what of it was news."""

    head: FeedHead
    updates: int
    """How many it tells of and this site has chosen; and how many it has not."""
    left_out: int
    changed: Mapping[str, ShardChanges]
    """Shards that were published anew."""
    untold: tuple[str, ...]
    """Shards that stay in force as they are, though no feed tells of them any more."""
    removed: int
    """Files that vendors' newer indexes have taken the place of, and that went now."""


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
        vendors: VendorKeeper | None = None,
        heard: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`heard` is told each step when it begins."""
        self._vendors = vendors
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
        self,
        actor: str,
        *,
        full: bool = True,
        feeds: Collection[str] = (),
        fence: Fence = lambda tx: None,
    ) -> Synchronised:
        """Fetch and publish. Not `full`: only what is new; nothing is revised or dropped.

        `feeds`: of several these alone are fetched, and the others are as they were.

        A feed that is not whole brings only what is new too: what it does not name may be in what
        is missing.

        Raises:
            WrongState: one is running already; a second one never starts beside it.
            FeedWentBack, FeedAhead: a suite is older than it was before, or from the future; of
                several feeds this stays with the one, as all that is refused of it.
            StaleRevision: another node synchronised the same shard meanwhile.
            Unavailable, Refused: what the feed says, and what publishing does.
        """
        if self._running.locked():
            raise WrongState("a synchronisation is running already")
        async with self._running:
            # What is chosen while it is fetched has its turn at the next one.
            choices = await asyncio.to_thread(self._reading.setting, SELECTION)
            selection = selection_of(read_choices(choices))
            known = read_dates(await asyncio.to_thread(self._reading.setting, DATES))
            wanted = Wanted(
                feeds=frozenset(feeds),
                selection=selection,
                judge=partial(require_fit, known=known, now=self._clock.now()),
            )
            await self._threads.run(partial(self._feed.fetch, wanted))
            self._heard("comparing")
            return await self._compared(actor, choices, full=full, fence=fence)

    async def _compared(
        self, actor: str, choices: bytes | None, *, full: bool, fence: Fence
    ) -> Synchronised:
        head = await self._threads.run(self._feed.head)
        applied = await asyncio.to_thread(self._applied, head, choices, full=full)
        if applied is not None:
            await self._remember(actor, head, fence)
            return _synchronised(head, applied, {})
        told = await self._made(partial(self._feed.read, now=self._clock.now()))
        content = await self._made(partial(_chosen, told, choices))
        # Read before it is asked how new the content is: if another node has newer content,
        # that one publishes after this one, or this one does not publish.
        serials = await asyncio.to_thread(self._serials, content.shards)
        await self._remember(actor, content, fence)
        full = full and content.is_whole
        # First what people read: nobody should see an update that nothing is told of.
        await self._details.keep(_details_of(content), only_new=not full, fence=fence)
        changed = await self._made(partial(self._all_changes, content, serials, full=full))
        gone = frozenset[UpdateId]().union(*(ids for _, ids in changed.values()))
        await self._details.expire(gone, fence=fence)
        await self._publish(actor, changed, serials)
        removed = await self._keep_vendors(content)
        updates, before = _count(content), _count(told)
        made = Applied(
            stamp=content.stamp,
            selection=choices or b"",
            version=__version__,
            full=full,
            updates=updates,
            left_out=before - updates,
            untold=await asyncio.to_thread(self._untold, content),
        )
        await self._note_applied(actor, made, offered_by(told.shards), fence)
        return _synchronised(content, made, changed, removed=removed)

    async def _keep_vendors(self, content: FeedContent) -> int:
        if self._vendors is None or not content.vendors:
            return 0
        keep = partial(self._vendors.keep, content.vendors, self._clock.now())
        return await self._threads.run(partial(keep, check=partial(self._require_newest, content)))

    async def _made(self, work: Callable[[], T]) -> T:
        return await self._threads.run(partial(_uncollected, work))

    async def withdraw(self, actor: str, shard: str) -> None:
        """Take a shard out of force of which no feed tells any more; its updates expire.

        Raises:
            WrongState: a synchronisation is running.
            StaleRevision: another node has published the shard meanwhile.
        """
        if self._running.locked():
            raise WrongState("a synchronisation is running; withdraw it when that has ended")
        async with self._running:
            serials = await asyncio.to_thread(self._serials, [shard])
            made, gone = await self._made(
                partial(self._changes, shard, serials[shard], (), full=True)
            )
            kept = await asyncio.to_thread(self._updates_beside, shard)
            await self._details.expire(gone - kept, fence=lambda tx: None)
            if made:
                await self._publish(actor, {shard: (made, gone)}, serials)
            forget = partial(_tell_no_more_of, shard=shard)
            await self._decisions.decide(actor, APPLIED, forget, now=self._clock.now())

    async def _publish(
        self, actor: str, changed: Mapping[str, _Changed], serials: Mapping[str, int]
    ) -> None:
        for shard, (made, _) in changed.items():
            self._heard("publishing")
            await self._publisher.publish(
                actor,
                shard,
                leaves=made.upserts,
                drops=made.drops,
                expected_serial=serials[shard],
            )

    def _applied(self, head: FeedHead, choices: bytes | None, *, full: bool) -> Applied | None:
        data = self._reading.setting(APPLIED)
        known = msgspec.msgpack.decode(data, type=Applied) if data else None
        if known is None or not head.stamp or not head.is_whole or full > known.full:
            return None
        same = (head.stamp, choices or b"", __version__)
        return known if same == (known.stamp, known.selection, known.version) else None

    async def _note_applied(
        self, actor: str, made: Applied, offered: Offered, fence: Fence
    ) -> None:
        data = msgspec.msgpack.encode(made)

        def work(tx: Transaction) -> None:
            fence(tx)
            tx.put_setting(APPLIED, data)
            remember_offered(tx, offered)

        if await asyncio.to_thread(self._reading.setting, APPLIED) != data:
            await self._decisions.decide(actor, APPLIED, work, now=self._clock.now())

    async def _remember(self, actor: str, content: FeedHead, fence: Fence) -> None:
        now = self._clock.now()

        def work(tx: Transaction) -> None:
            fence(tx)
            remember(tx, content, now)

        known = read_dates(await asyncio.to_thread(self._reading.setting, DATES))
        require_fit(content, known, now)
        if dates_of(content).items() - known.items():
            await self._decisions.decide(actor, DATES, work, now=now)

    def _require_newest(self, content: FeedHead) -> None:
        """Raises FeedWentBack: another node, which took this run for lost, has read newer."""
        require_fit(content, read_dates(self._reading.setting(DATES)), self._clock.now())

    def _untold(self, content: FeedContent) -> tuple[str, ...]:
        """Return the shards in force of which no feed tells, if all that should tell do."""
        if not content.is_whole:
            return ()
        serials = self._serials(self._feed_shards() - content.shards.keys())
        return tuple(sorted(x for x, at in serials.items() if self._reading.leaves(x, at=at)))

    def _updates_beside(self, shard: str) -> frozenset[UpdateId]:
        """Return the updates that have leaves in another feed's shard."""
        serials = self._serials(x for x in self._feed_shards() if x != shard)
        live = (leaf for x, at in serials.items() for leaf in self._reading.leaves(x, at=at))
        return frozenset(UpdateId(UUID(bytes=leaf.update)) for leaf in live)

    def _feed_shards(self) -> frozenset[str]:
        return frozenset(shard for shard in self._reading.shards() if role_of(shard) == FEEDS)

    def _serials(self, shards: Iterable[str]) -> Mapping[str, int]:
        """Return what is in force, whether its files could be signed already or not."""
        records = {shard: self._reading.setting(RECORD + shard) for shard in shards}
        return {shard: read_record(data).serial for shard, data in records.items()}

    def _all_changes(
        self, content: FeedContent, serials: Mapping[str, int], *, full: bool
    ) -> dict[str, _Changed]:
        """Return, for every shard that changes, how it does and which updates leave it."""
        told = {update.details.update for some in content.shards.values() for update in some}
        found: dict[str, _Changed] = {}
        for shard, updates in content.shards.items():
            made, gone = self._changes(shard, serials[shard], updates, full=full)
            if made:
                found[shard] = made, gone - told
        return found

    def _changes(
        self, shard: str, serial: int, updates: Sequence[FeedUpdate], *, full: bool
    ) -> _Changed:
        stored = self._reading.leaves(shard, at=serial) if serial else ()
        stored, updates = differing(stored, updates)
        held = read_stored(stored)
        offered = list(offered_leaves(updates))
        new = {leaf.update for leaf in offered} - {leaf.update for leaf in held}
        left = read_stored(self._reading.left_leaves(shard, sorted(x.bytes for x in new)))
        made = changes(held, offered, left=left, only_new=not full)
        drops = frozenset(made.drops)
        return made, frozenset(leaf.update for leaf in held if leaf.number in drops)


def _synchronised(
    head: FeedHead, made: Applied, changed: Mapping[str, _Changed], *, removed: int = 0
) -> Synchronised:
    return Synchronised(
        head=head,
        updates=made.updates,
        left_out=made.left_out,
        changed={shard: new for shard, (new, _) in changed.items()},
        untold=made.untold,
        removed=removed,
    )


def untold(data: bytes | None) -> tuple[str, ...]:
    """Return the shards of which no feed told any more at the last synchronisation."""
    return msgspec.msgpack.decode(data, type=Applied).untold if data else ()


def _tell_no_more_of(tx: Transaction, *, shard: str) -> None:
    data = tx.lock_setting(APPLIED)
    if data is not None:
        made = msgspec.msgpack.decode(data, type=Applied)
        left = tuple(name for name in made.untold if name != shard)
        tx.put_setting(APPLIED, msgspec.msgpack.encode(msgspec.structs.replace(made, untold=left)))


def _uncollected(work: Callable[[], T]) -> T:
    with without_collection():
        return work()


def _count(content: FeedContent) -> int:
    return sum(map(len, content.shards.values()))


def _chosen(told: FeedContent, choices: bytes | None) -> FeedContent:
    selection = selection_of(read_choices(choices))
    if not selection:
        return told
    shards = {name: chosen(updates, selection) for name, updates in told.shards.items()}
    return replace(told, shards=shards)


def _details_of(content: FeedContent) -> Iterator[UpdateDetails]:
    return (update.details for shard in content.shards.values() for update in shard)
