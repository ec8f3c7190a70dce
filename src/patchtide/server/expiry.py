"""Removes updates that their vendor stands by no more, some days after they expired.

Until then they are shown, and offered nowhere; a vendor that names one again undoes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol
from uuid import UUID

from patchtide.server.fleet_follower import FORGET
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction

SYSTEM = "system"
SLICE = 200


Held = Callable[[Collection[UUID]], Collection[UUID]]
"""Returns those of the updates that something names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Something that names updates, which therefore have to stay: a list, a deployment.

    Asked first without holding anything up, and once more in the transaction that removes them:
    somebody may have named one in between.
    """

    held: Held
    held_in: Callable[[Transaction], Held]


class ExpiredReading(Protocol):
    def expired_updates(self, *, by: datetime) -> Sequence[UUID]:
        """Return the updates that had expired by then."""
        ...


class ExpiredUpdates:
    """Call `step` every hour or so."""

    def __init__(
        self,
        *,
        decisions: Decisions,
        reading: ExpiredReading,
        holders: Sequence[Holder],
        clock: Clock,
        kept: timedelta,
    ) -> None:
        self._decisions = decisions
        self._reading = reading
        self._holders = holders
        self._clock = clock
        self._kept = kept

    async def step(self) -> None:
        """Remove those that have had their days and that nothing holds."""
        now = self._clock.now()
        due = await asyncio.to_thread(self._due, now - self._kept)
        for start in range(0, len(due), SLICE):
            part = due[start : start + SLICE]
            work = partial(self._forget, ids=part, by=now - self._kept)
            await self._decisions.decide(SYSTEM, FORGET, work, now=now)

    def _due(self, by: datetime) -> list[UUID]:
        expired = self._reading.expired_updates(by=by)
        held = {one for holder in self._holders for one in holder.held(expired)}
        return [one for one in expired if one not in held]

    def _forget(self, tx: Transaction, *, ids: Sequence[UUID], by: datetime) -> None:
        tx.lock_updates(ids)
        held = {one for holder in self._holders for one in holder.held_in(tx)(ids)}
        free = [one for one in ids if one not in held]
        # One that its vendor named again meanwhile is not among them any more.
        count = tx.forget_updates(free, expired_by=by)
        if count:
            tx.note("updates", count=count, first=str(free[0]))
