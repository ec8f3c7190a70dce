"""What people read of updates: kept as the feed tells it; what takes longer is learnt afterwards.

CVEs stand in changelogs, which have to be fetched. Those of updates that machines require are read
first, so that whoever looks at a new site sees them within seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Protocol
from uuid import UUID

from patchtide.domain.catalog.custom import KIND
from patchtide.domain.catalog.details import FeedUpdate, UpdateDetails
from patchtide.domain.catalog.synchronisation import details_to_keep, learnt
from patchtide.domain.catalog.updates import UpdateId
from patchtide.domain.errors import PatchtideError
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.ports.feed import UpdateFeed
from patchtide.server.ports.synchronising import Fence
from patchtide.server.threads import Threads

log = logging.getLogger(__name__)

OPERATION = "catalog.describe"
SYSTEM = "system"
AFTER_A_START = timedelta(seconds=30)
"""A server that has just started has more urgent things to do than to go on with this."""
SLICE = 200
BATCH = 20
"""So many at first: what is required is described within seconds."""
MOST = 320
"""So many in the end, since a batch costs a process that reads the feed before it describes. Few
enough that what is required meanwhile soon has its turn, and that little is lost with one."""


class DetailsReading(Protocol):
    def listed_updates(self) -> Sequence[UpdateDetails]: ...

    def update_details(self, updates: Sequence[UUID] | None = None) -> Sequence[UpdateDetails]: ...


class Descriptions:
    """Call `step` every second or so: it describes what waits for it, batch by batch."""

    def __init__(
        self,
        *,
        feed: UpdateFeed | None,
        decisions: Decisions,
        reading: DetailsReading,
        fleet: Fleet,
        clock: Clock,
    ) -> None:
        self._feed = feed
        self._decisions = decisions
        self._reading = reading
        self._fleet = fleet
        self._clock = clock
        self._threads = Threads("describe", count=1)
        self._not_before = clock.now() + AFTER_A_START
        self._waiting: dict[UUID, UpdateDetails] | None = None
        """Nothing was learnt of these since the last synchronisation; None: not looked yet."""

    async def keep(
        self,
        updates: Iterable[UpdateDetails],
        *,
        only_new: bool = False,
        fence: Fence = lambda tx: None,
    ) -> None:
        """Keep what the feed tells; of the same version, what was learnt before stays.

        Raises:
            StaleRevision: the fence says so.
        """
        held = {x.update: x for x in await asyncio.to_thread(self._reading.update_details)}
        offered = [x for x in updates if x.feed == KIND or not _is_of_people(held.get(x.update))]
        kept = await asyncio.to_thread(details_to_keep, held, offered, only_new=only_new)
        await self._put(kept, fence)
        self._waiting, self._not_before = None, self._clock.now()

    async def expire(
        self, updates: Collection[UpdateId], *, fence: Fence = lambda tx: None
    ) -> None:
        """Note that their vendor stands by them no more.

        Raises:
            StaleRevision: the fence says so.
        """
        now = self._clock.now()

        def expired(held: UpdateDetails) -> UpdateDetails:
            return held if held.expired_at else replace(held, expired_at=now)

        await self._change(updates, expired, fence)

    def waiting(self) -> tuple[int, int]:
        """Return how many updates are still to be described, and how many of them are required."""
        # Asked from a thread, while `step` takes out what it has done: a copy is made at once.
        waiting = list(self._waiting or ())
        return len(waiting), self._fleet.ask(lambda view: sum(_needs(view, u) > 0 for u in waiting))

    async def step(self) -> None:
        feed = self._feed
        if feed is None or self._clock.now() < self._not_before:
            return
        if self._waiting is None:
            known = await asyncio.to_thread(self._reading.listed_updates)
            self._waiting = {x.update: x for x in known if x.cves is None and not x.expired_at}
        size = BATCH
        while self._waiting:
            batch = await self._fleet.run(partial(self._next, self._waiting, size))
            size = min(2 * size, MOST)
            try:
                described = await self._threads.run(partial(feed.describe, batch))
            except PatchtideError as error:
                log.warning("updates are not described: %s", error)
                self._waiting = {}  # until the next synchronisation
                return
            told = {u.details.update: u.details for u in described if u.details.cves is not None}
            await self._change(told, partial(_with_what_was_told, told=told))
            for update in batch:
                # A synchronisation may have begun the list anew meanwhile.
                (self._waiting or {}).pop(update.details.update, None)

    def _next(self, waiting: dict[UUID, UpdateDetails], size: int) -> list[FeedUpdate]:
        def question(view: View) -> list[UpdateDetails]:
            first = sorted(waiting.values(), key=lambda x: (-_needs(view, x.update), x.vendor_id))
            return first[:size]

        return [FeedUpdate(details=x, leaves=()) for x in self._fleet.ask(question)]

    async def _put(self, details: Sequence[UpdateDetails], fence: Fence = lambda tx: None) -> None:
        for start in range(0, len(details), SLICE):
            part = _putting(details[start : start + SLICE], fence)
            await self._decisions.decide(SYSTEM, OPERATION, part, now=self._clock.now())

    async def _change(
        self,
        updates: Collection[UpdateId],
        changed: Callable[[UpdateDetails], UpdateDetails],
        fence: Fence = lambda tx: None,
    ) -> None:
        """Change what is kept by then, be it what was read before or not."""
        ids = sorted(updates)
        for start in range(0, len(ids), SLICE):
            part = _changing(ids[start : start + SLICE], changed, fence)
            await self._decisions.decide(SYSTEM, OPERATION, part, now=self._clock.now())


def _with_what_was_told(
    held: UpdateDetails, told: Mapping[UpdateId, UpdateDetails]
) -> UpdateDetails:
    # Its feed may have told more of it while its changelog was read.
    return learnt(held, told[held.update]) if held.cves is None else held


def _is_of_people(held: UpdateDetails | None) -> bool:
    """Say whether an update is none of the feed's: what people published, they alone change."""
    return held is not None and held.feed == KIND


def _needs(view: View, update: UUID) -> int:
    known = view.updates.get(update)
    return view.tally_of(known).required if known else 0


def _putting(details: Sequence[UpdateDetails], fence: Fence) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        fence(tx)
        _put(tx, details)

    return work


def _changing(
    updates: Sequence[UpdateId], changed: Callable[[UpdateDetails], UpdateDetails], fence: Fence
) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        fence(tx)
        held = tx.hold_updates(updates)
        if made := [new for old in held if (new := changed(old)) != old]:
            _put(tx, made)

    return work


def _put(tx: Transaction, details: Sequence[UpdateDetails]) -> None:
    tx.put_update_details(details)
    tx.note("updates", count=len(details), first=details[0].vendor_id)
