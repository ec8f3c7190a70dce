"""Notices that the database is another one than it was: restored, or failed over.

A node keeps in memory what admits machines and which lists it has. After a restore that is the
memory of a future that did not happen, so it is read again, without a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from patchtide.server.inventories import Inventories
from patchtide.server.ports.clients import Client
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.following import Cursor
from patchtide.server.standings import Standings

PAGE = 500


class EpochReading(Protocol):
    def epoch(self) -> Cursor: ...

    def clients(
        self, *, after: int = 0, limit: int = 100, search: str = "", state: str = ""
    ) -> Sequence[Client]: ...


class EpochWatch:
    """Remembers the epoch that this node's memory belongs to."""

    def __init__(
        self,
        reading: EpochReading,
        *,
        standings: Standings,
        inventories: Inventories,
        clock: Clock,
        since: Cursor,
    ) -> None:
        self._reading = reading
        self._standings = standings
        self._inventories = inventories
        self._clock = clock
        self._epoch = since.epoch

    async def step(self) -> bool:
        """Read everything again if there is a new epoch; say whether there was."""
        now = await asyncio.to_thread(self._reading.epoch)
        if now.epoch == self._epoch:
            return False
        await self.read_again()
        # Only now: a reading that failed half way is begun anew with the next step.
        self._epoch = now.epoch
        return True

    async def read_again(self) -> None:
        """Read all machines anew; those that are not there any more are forgotten."""
        after, found = 0, set[bytes]()
        while page := await asyncio.to_thread(self._reading.clients, after=after, limit=PAGE):
            # In pages, so that machines are answered in between.
            uuids = [client.uuid for client in page]
            await self._standings.refresh(uuids)
            found.update(uuids)
            after = page[-1].number
        # One that enrols just now and is forgotten too is looked up when it speaks.
        self._standings.keep_only(found)
        await self._inventories.reload(now=self._clock.now().timestamp())
