"""Whoever waits for a page goes before machines: they do not mind a tenth of a second.

One event loop and one interpreter serve both. While a roll-out streams in, each step of a page
would stand behind what hundreds of machines have sent; so only a few are answered meanwhile, and
the others wait for the page, but none for longer than `PATIENCE_S`, however many people there are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

PATIENCE_S = 0.1
FEW = 64
"""So many requests of machines are worked on while somebody waits for a page."""


class PeopleFirst:
    """One event loop's."""

    def __init__(self) -> None:
        self._people = 0
        self._machines = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._patience: asyncio.TimerHandle | None = None

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve somebody within the block."""
        self._people += 1
        try:
            yield
        finally:
            self._people -= 1
            if not self._people:
                self._let_all_in()

    @asynccontextmanager
    async def giving_way(self) -> AsyncIterator[None]:
        """Work for a machine within the block, once people leave room for it."""
        if self._people and self._machines >= FEW:
            await self._turn()
        self._machines += 1
        try:
            yield
        finally:
            self._machines -= 1
            if self._machines < FEW:
                self._let_in()

    def _turn(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        if self._patience is None:
            self._patience = loop.call_later(PATIENCE_S, self._let_all_in)
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        return turn

    def _let_all_in(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        while self._let_in():
            pass

    def _let_in(self) -> bool:
        """Let the next one in; say whether there was one."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # whoever asked may have gone away
                turn.set_result(None)
                return True
        return False
