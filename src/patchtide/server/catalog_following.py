"""A node learns what other nodes have published, from the log of decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from patchtide.domain.errors import CursorLost
from patchtide.server.ports.following import Cursor, Following
from patchtide.server.shard_writing import PUBLISHED

PAGE = 1000


@dataclass(kw_only=True)
class CatalogFollower:
    """Call `step` every second or so: between two calls nothing is missed, however long it is."""

    following: Following
    serials: Callable[[], Mapping[str, int]]
    published: Callable[[Mapping[str, int]], None]
    _cursor: Cursor | None = field(default=None, init=False)
    _has_news: bool = field(default=False, init=False)
    """Kept until it was told: reading the serials or telling them may fail."""

    async def step(self) -> None:
        """Read on, and say what is published now if anything was published since."""
        self._has_news |= await asyncio.to_thread(self._look)
        if self._has_news:
            self.published(await asyncio.to_thread(self.serials))
            self._has_news = False

    def _look(self) -> bool:
        if self._cursor is None:
            return self._start_anew()
        try:
            return self._read_on(self._cursor)
        except CursorLost:
            return self._start_anew()

    def _start_anew(self) -> bool:
        # Before the serials are read: what is published in between is then read about later.
        self._cursor = self.following.epoch()
        return True

    def _read_on(self, cursor: Cursor) -> bool:
        while True:
            cursor, events = self.following.decided(cursor, limit=PAGE)
            self._cursor = cursor
            # At once: the next page may not be had.
            self._has_news |= any(event.operation == PUBLISHED for event in events)
            if len(events) < PAGE:
                return self._has_news
