"""The one thread that writes, and its queues.

Decisions go first, then reports in groups, then bulk work in slices, then presences. A group is
whatever waits when the writer is free, at most 256 reports. A lone report waits for nobody; while
reports come in numbers a group is given 5 ms to fill, because each commit costs a sync of the
disk whatever its size. Bulk work that has waited long takes its turn.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Generic, TypeVar

from patchtide.domain.errors import Unavailable

GROUP = 256
FILL_S = 0.005
PATIENCE_S = 0.5
T = TypeVar("T")
R = TypeVar("R")
W = TypeVar("W")


class Rank(IntEnum):
    """What goes before what."""

    DECISION = 0
    REPORTS = 1
    BULK = 2
    PRESENCE = 3


@dataclass(slots=True)
class _Job:
    """Something that waits for the writer, and whom to tell."""

    work: Any
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    since: float = field(default_factory=time.monotonic)


class Writer(Generic[T, R]):
    """Runs single jobs one at a time and reports in groups, all on one thread."""

    def __init__(self, take_group: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._take_group = take_group
        self._queues: tuple[deque[_Job], ...] = tuple(deque() for _ in Rank)
        self._wanted = threading.Condition()
        self._closing = False
        self._in_numbers = False
        self._thread = threading.Thread(target=self._run, name="storage-writer", daemon=True)
        self._thread.start()

    async def run(self, rank: Rank, work: Callable[[], W]) -> W:
        """Return what the work returned, when it was its turn."""
        return await self._put(rank, work)  # type: ignore[no-any-return]

    async def report(self, reports: Sequence[T]) -> Sequence[R]:
        """Have at most `GROUP` reports taken, together with others that wait."""
        return await self._put(Rank.REPORTS, reports)  # type: ignore[no-any-return]

    def _put(self, rank: Rank, work: Any) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        with self._wanted:
            if self._closing:
                raise Unavailable("the database is being closed")
            self._queues[rank].append(job)
            self._wanted.notify()
        return job.future

    def waiting(self) -> Mapping[str, int]:
        """Return how many jobs wait, by rank in small letters."""
        return {rank.name.lower(): len(self._queues[rank]) for rank in Rank}

    def close(self) -> None:
        """Do what waits, then end."""
        with self._wanted:
            self._closing = True
            self._wanted.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wanted:
                while not any(self._queues):
                    if self._closing:
                        return
                    self._wanted.wait()
                rank = self._next()
                fill_s = self._fill_s() if rank is Rank.REPORTS else 0.0
            if fill_s > 0:
                time.sleep(fill_s)
            with self._wanted:
                queue = self._queues[rank]
                jobs = _group(queue) if rank is Rank.REPORTS else [queue.popleft()]
            if rank is Rank.REPORTS:
                self._in_numbers = len(jobs) > 1
                self._do_group(jobs)
            else:
                _do(jobs[0])

    def _next(self) -> Rank:
        long_ago = time.monotonic() - PATIENCE_S
        for rank in (Rank.BULK, Rank.PRESENCE):
            if self._queues[rank] and self._queues[rank][0].since < long_ago:
                return rank
        return next(rank for rank in Rank if self._queues[rank])

    def _fill_s(self) -> float:
        """Return how long the next group may still fill; nothing for a report that comes alone."""
        waiting = self._queues[Rank.REPORTS]
        if not self._in_numbers or len(waiting) >= GROUP:
            return 0.0
        return waiting[0].since + FILL_S - time.monotonic()

    def _do_group(self, jobs: list[_Job]) -> None:
        try:
            answers = iter(self._take_group([report for job in jobs for report in job.work]))
            told = [(job, [next(answers) for _ in job.work], None) for job in jobs]
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to who asked
            if len(jobs) == 1 or isinstance(error, Unavailable):
                _tell([(job, None, error) for job in jobs])
                return
            # One that cannot be stored must not take the others with it.
            for job in jobs:
                self._do_group([job])
        else:
            _tell(told)


def _group(queue: deque[_Job]) -> list[_Job]:
    jobs = [queue.popleft()]
    size = len(jobs[0].work)
    while queue and size + len(queue[0].work) <= GROUP:
        jobs.append(queue.popleft())
        size += len(jobs[-1].work)
    return jobs


def _do(job: _Job) -> None:
    try:
        result = job.work()
    except BaseException as error:  # noqa: BLE001 - whatever it is belongs to who asked
        _tell([(job, None, error)])
    else:
        _tell([(job, result, None)])


def _tell(told: Sequence[tuple[_Job, Any, BaseException | None]]) -> None:
    """Answer everybody; one wake-up a loop and group, not one a report."""
    loops = {job.loop for job, _, _ in told}
    for loop in loops:
        mine = told if len(loops) == 1 else [t for t in told if t[0].loop is loop]
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, mine)


def _resolve(told: Sequence[tuple[_Job, Any, BaseException | None]]) -> None:
    for job, result, error in told:
        if job.future.done():  # whoever asked has gone away
            continue
        if error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)
