"""Whoever waits for a page goes before machines: they do not mind a tenth of a second.

One event loop and one interpreter serve both. While a roll-out streams in, each step of a page
would stand behind what hundreds of machines have sent; so what they send meanwhile waits for the
page, but no request for longer than `PATIENCE_S`, however many people there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 0.1


class PeopleFirst:
    """One event loop's."""

    def __init__(self) -> None:
        self._served = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._patience: asyncio.TimerHandle | None = None

    @property
    def is_somebody_there(self) -> bool:
        """Say whether somebody waits for a page."""
        return self._served > 0

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve somebody within the block."""
        self._served += 1
        try:
            yield
        finally:
            self._served -= 1
            if not self._served:
                self._go_on()

    async def give_way(self) -> None:
        """Wait until nobody waits for a page, or for as long as a machine can be expected to."""
        if not self._served:
            return
        loop = asyncio.get_running_loop()
        if self._patience is None:
            self._patience = loop.call_later(PATIENCE_S, self._go_on)
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _go_on(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            if not turn.done():  # whoever asked may have gone away
                turn.set_result(None)
