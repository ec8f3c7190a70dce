"""The one thread that writes, and its queues.

Decisions go first, then reports in groups, then bulk work in slices. A group is whatever waits
when the writer is free, at most 256: under load groups fill by themselves, and a lone report
waits for nobody.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from patchtide.domain.errors import Unavailable

GROUP = 256
T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class _Job(Generic[T]):
    """Something that waits for the writer, and whom to tell."""

    work: T
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Writer:
    """Runs decisions and bulk slices one at a time, reports in groups, all on one thread."""

    def __init__(self, take_group: Callable[[Sequence[Any]], Sequence[Any]]) -> None:
        self._take_group = take_group
        self._decisions: deque[_Job[Callable[[], Any]]] = deque()
        self._reports: deque[_Job[Any]] = deque()
        self._bulk: deque[_Job[Callable[[], Any]]] = deque()
        self._wanted = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="storage-writer", daemon=True)
        self._thread.start()

    async def decide(self, work: Callable[[], R]) -> R:
        return await self._put(self._decisions, work)  # type: ignore[no-any-return]

    async def bulk(self, work: Callable[[], R]) -> R:
        """Run one slice of bulk work, when nothing more urgent waits."""
        return await self._put(self._bulk, work)  # type: ignore[no-any-return]

    async def report(self, report: Any) -> Any:
        return await self._put(self._reports, report)

    def _put(self, queue: deque[Any], work: Any) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        with self._wanted:
            if self._closing:
                raise Unavailable("the database is being closed")
            queue.append(job)
            self._wanted.notify()
        return job.future

    def close(self) -> None:
        """Do what waits, then end."""
        with self._wanted:
            self._closing = True
            self._wanted.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wanted:
                while not (self._decisions or self._reports or self._bulk):
                    if self._closing:
                        return
                    self._wanted.wait()
                single = self._decisions or (None if self._reports else self._bulk)
                job = single.popleft() if single else None
                group = [] if job else self._next_group()
            if job:
                self._do(job)
            else:
                self._do_group(group)

    def _next_group(self) -> list[_Job[Any]]:
        return [self._reports.popleft() for _ in range(min(GROUP, len(self._reports)))]

    def _do(self, job: _Job[Callable[[], Any]]) -> None:
        try:
            result = job.work()
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to who asked
            _tell(job.loop, [(job.future, None, error)])
        else:
            _tell(job.loop, [(job.future, result, None)])

    def _do_group(self, group: list[_Job[Any]]) -> None:
        told: list[tuple[_Job[Any], Any, BaseException | None]]
        try:
            results = self._take_group([job.work for job in group])
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to who asked
            told = [(job, None, error) for job in group]
        else:
            told = [(job, result, None) for job, result in zip(group, results, strict=True)]
        by_loop: dict[asyncio.AbstractEventLoop, list[Any]] = {}
        for job, result, failed in told:
            by_loop.setdefault(job.loop, []).append((job.future, result, failed))
        # One wake-up a group and loop, not one a report.
        for loop, answers in by_loop.items():
            _tell(loop, answers)


def _tell(
    loop: asyncio.AbstractEventLoop,
    answers: list[tuple[asyncio.Future[Any], Any, BaseException | None]],
) -> None:
    def resolve() -> None:
        for future, result, error in answers:
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

    if not loop.is_closed():
        loop.call_soon_threadsafe(resolve)
