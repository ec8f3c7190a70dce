"""Where named reports become files: one at a time, so that no crowd of them slows machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from patchtide.domain.errors import Unavailable
from patchtide.server.ports.report_files import ReportWriter
from patchtide.server.threads import Threads

T = TypeVar("T")


class ReportDesk:
    def __init__(self, writer: ReportWriter | None) -> None:
        self._writer = writer
        self._threads = Threads("report-files", count=1)

    async def __call__(self, work: Callable[[ReportWriter], T]) -> T:
        """Do the work in the desk's own thread.

        Raises:
            Unavailable: this server writes no files.
        """
        writer = self._writer
        if writer is None:
            raise Unavailable("this server writes no reports as files")
        return await self._threads.run(lambda: work(writer))
