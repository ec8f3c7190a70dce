"""What other nodes decided of machines holds here, too, within a second (S43).

A node keeps in memory what admits machines; a decision refreshes that of the node that took it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from patchtide.domain.errors import CursorLost
from patchtide.server.called import called_in, collections_called_in
from patchtide.server.fleet_reading import machines_in
from patchtide.server.ports.following import Cursor, DecisionEvent
from patchtide.server.standings import Standings

PAGE = 1000


class Decided(Protocol):
    def epoch(self) -> Cursor: ...

    def decided(
        self, cursor: Cursor, *, limit: int = 1000
    ) -> tuple[Cursor, Sequence[DecisionEvent]]: ...


@dataclass(kw_only=True)
class DecisionWatch:
    """Call `step` twice a second or so."""

    reading: Decided
    since: Cursor
    """Where the log stood before the machines were read."""
    standings: Standings
    read_again: Callable[[], Awaitable[None]]
    """Reads all machines anew."""
    wake: Callable[[Sequence[bytes]], object]
    """Has those come that hold a line open."""
    call: Callable[[Sequence[bytes]], object]
    """The same of any number, some at a time."""
    members: Callable[[UUID], Awaitable[Sequence[bytes]]]
    """Returns the machines of a collection that are let in."""

    def __post_init__(self) -> None:
        self._cursor = self.since

    async def step(self) -> None:
        is_done = False
        while not is_done:
            try:
                cursor, events = await asyncio.to_thread(
                    self.reading.decided, self._cursor, limit=PAGE
                )
            except CursorLost:
                cursor = await asyncio.to_thread(self.reading.epoch)
                await self.read_again()
                events = ()
            else:
                await self._follow(sorted(set(machines_in(events))))
                await self._ring(events)
            # Only now: what could not be read is read with the next step.
            self._cursor = cursor
            is_done = len(events) < PAGE

    async def _follow(self, uuids: Sequence[bytes]) -> None:
        if not uuids:
            return
        before = {uuid: self._owed(uuid) for uuid in uuids}
        await self.standings.refresh(uuids)
        # This node's own decisions hold already, and have woken whom they are about.
        if moved := [uuid for uuid in uuids if self._owed(uuid) != before[uuid]]:
            self.wake(moved)

    async def _ring(self, events: Sequence[DecisionEvent]) -> None:
        """Have those come that somebody called, at whichever node."""
        called = set(called_in(events))
        for collection in set(collections_called_in(events)):
            called.update(await self.members(collection))
        if called:
            self.call(sorted(called))

    def _owed(self, uuid: bytes) -> object:
        """Return what of its standing a machine has to hear of soon."""
        entry = self.standings.find(uuid)
        return entry and (entry.state, entry.full_report, entry.scan_wanted)
