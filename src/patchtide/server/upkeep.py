"""What a server does for itself every hour: seal and archive the audit, trim, learn what is known.

Each part is done whether or not another one failed: a full disk of the archive must not keep the
database from being trimmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from patchtide.server.fact_changes import FactUpkeep
from patchtide.server.inventories import Inventories
from patchtide.server.ports.audit import AuditStore
from patchtide.server.ports.audit_archive import AuditArchive
from patchtide.server.ports.clock import Clock

EVERY = timedelta(hours=1)
SEGMENT_ENTRIES = 5000
SEGMENT_AGE = timedelta(hours=1)
"""A segment is sealed when it is full, or when its first entry is this old: what is in none yet
cannot be named after a restore."""

Part = Callable[[datetime], Awaitable[None]]


@dataclass(kw_only=True)
class Upkeep:
    storage: AuditStore
    facts: FactUpkeep
    archive: AuditArchive
    inventories: Inventories
    clock: Clock
    _done_at: datetime | None = field(default=None, init=False)

    async def step(self) -> None:
        """Do what is due; call it every minute.

        Raises:
            ExceptionGroup: with what failed; it is tried again with the next step.
        """
        now = self.clock.now()
        # A clock that was set back must not put upkeep off until it has caught up.
        if self._done_at is not None and timedelta(0) <= now - self._done_at < EVERY:
            return
        await _each(now, self._checkpoint, self._archive, self._work_out, self._trim, self._reload)
        self._done_at = now

    async def _checkpoint(self, now: datetime) -> None:
        await self.storage.checkpoint_audit(now=now)

    async def _archive(self, now: datetime) -> None:
        while await self._is_due(now):
            after = await asyncio.to_thread(self.storage.audit_archived)
            segment = await asyncio.to_thread(self.storage.audit_segment, after=after)
            if segment is None:
                return
            await asyncio.to_thread(self.archive.keep, segment)
            # Only then: a crash in between writes a segment twice, and loses none.
            await self.storage.note_archived(segment.last)

    async def _is_due(self, now: datetime) -> bool:
        def question() -> bool:
            after = self.storage.audit_archived()
            oldest = self.storage.audit(after=after, limit=1)
            if oldest and now - oldest[0].at >= SEGMENT_AGE:
                return True
            return bool(self.storage.audit(after=after + SEGMENT_ENTRIES - 1, limit=1))

        return await asyncio.to_thread(question)

    async def _work_out(self, now: datetime) -> None:
        await self.facts.run()

    async def _trim(self, now: datetime) -> None:
        await self.storage.trim(now=now.timestamp())

    async def _reload(self, now: datetime) -> None:
        await self.inventories.reload(now=now.timestamp())


async def _each(now: datetime, *parts: Part) -> None:
    failed: list[Exception] = []
    for part in parts:
        try:
            await part(now)
        except Exception as error:  # noqa: BLE001 - all of them are raised below
            failed.append(error)
    if failed:
        raise ExceptionGroup("upkeep failed", failed)
