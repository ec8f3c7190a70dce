"""The word by which open pages learn that something has moved: asked once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from patchtide.server.ports.clock import Clock

PULSE = timedelta(seconds=1)
PER_MACHINE = timedelta(microseconds=200)
"""In a large fleet something moves all the time, and to show it costs by the machine."""


class Pulse:
    """Keeps the word for a second, and for longer the more machines there are."""

    def __init__(self, look: Callable[[], Awaitable[tuple[str, int]]], clock: Clock) -> None:
        """`look` returns the word now and how many machines there are."""
        self._look = look
        self._clock = clock
        self._word = ""
        self._looked_at = clock.now()
        self._length = timedelta(0)
        self._looking: asyncio.Task[str] | None = None

    async def word(self) -> str:
        # Less than nothing: the clock was put back.
        if timedelta(0) <= self._clock.now() - self._looked_at < self._length:
            return self._word
        if self._looking is None:
            self._looking = asyncio.create_task(self._looked())
        # Whoever stops waiting must not take the answer of the others with him.
        return await asyncio.shield(self._looking)

    async def _looked(self) -> str:
        try:
            at = self._clock.now()
            self._word, machines = await self._look()
            self._looked_at, self._length = at, max(PULSE, machines * PER_MACHINE)
            return self._word
        finally:
            self._looking = None
