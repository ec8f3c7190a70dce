"""Where named reports become files: one at a time, so that no crowd of them slows machines.

A report holds what it says of the whole fleet until it is written, so it is made for whoever has
the place, and not for those who wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from patchtide.domain.errors import TooMuch, Unavailable
from patchtide.server.ports.report_files import ReportWriter
from patchtide.server.threads import Threads

R = TypeVar("R")
T = TypeVar("T")
WAITING = 4


class ReportDesk:
    def __init__(self, writer: ReportWriter | None) -> None:
        self._writer = writer
        self._threads = Threads("report-files", count=1)
        self._place = asyncio.Semaphore(1)
        self._here = 0

    async def __call__(self, work: Callable[[ReportWriter], T]) -> T:
        """Do the work in the desk's own thread.

        Raises:
            Unavailable: this server writes no files.
        """
        writer = self._writer
        if writer is None:
            raise Unavailable("this server writes no reports as files")
        return await self._threads.run(lambda: work(writer))

    async def in_turn(
        self, made: Callable[[], Awaitable[R]], work: Callable[[ReportWriter, R], T]
    ) -> T:
        """When it is its turn have the report made, and do the work in the desk's own thread.

        Raises:
            Unavailable: this server writes no files.
            TooMuch: many are waiting already.
        """
        if self._here > WAITING:
            raise TooMuch("other reports are being written; ask again in a minute")
        self._here += 1
        try:
            async with self._place:
                report = await made()
                return await self(lambda writer: work(writer, report))
        finally:
            self._here -= 1
