"""Removes updates that their vendor stands by no more, some days after they expired.

Until then they are shown, and offered nowhere; a vendor that names one again undoes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol
from uuid import UUID

from patchtide.server.fleet_follower import FORGET
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction

SYSTEM = "system"
SLICE = 200


class Holder(Protocol):
    """Something that names updates, which therefore have to stay: a list, a deployment."""

    def held(self, updates: Collection[UUID]) -> Collection[UUID]:
        """Return those of the updates that it names."""
        ...


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
            work = partial(_forget, ids=part, by=now - self._kept)
            await self._decisions.decide(SYSTEM, FORGET, work, now=now)

    def _due(self, by: datetime) -> list[UUID]:
        expired = self._reading.expired_updates(by=by)
        held = {one for holder in self._holders for one in holder.held(expired)}
        return [one for one in expired if one not in held]


def _forget(tx: Transaction, *, ids: Sequence[UUID], by: datetime) -> None:
    # One that was named again meanwhile is not among them any more.
    count = tx.forget_updates(ids, expired_by=by)
    if count:
        tx.note("updates", count=count, first=str(ids[0]))
