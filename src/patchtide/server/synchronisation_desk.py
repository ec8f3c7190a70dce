"""Synchronisations as they are asked for or fall due: one at a time, each written down.

When the next one is due follows from the database and the clock alone, so every node says the
same; which of them begins it, the database decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import msgspec

from patchtide.domain.catalog.synchronisation import UNNUMBERED
from patchtide.domain.errors import PatchtideError, StaleRevision, WrongState
from patchtide.domain.schedules.synchronising import Due, Why, due, upcoming
from patchtide.server import synchronisation_runs as runs
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.ports.feed import FeedConnections
from patchtide.server.ports.reading import Lookups
from patchtide.server.synchronisation import Synchronisation, Synchronised
from patchtide.server.synchronisation_plan import SCHEDULE, read_schedule, schedule_of
from patchtide.server.synchronisation_runs import LAST, Last, Run, Watch, read_last, read_runs

log = logging.getLogger(__name__)

START, END = "catalog.synchronise", "catalog.synchronised"
RENEW = "catalog.synchronising"
SYSTEM = "system"

Decide = Callable[[Callable[[Transaction], "Run"]], Awaitable["Run"]]
Before = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Progress:
    """How far the running one is; `done` and `of` are 0 where nothing is counted."""

    step: str = ""
    done: int = 0
    of: int = 0

    def note(self, step: str, done: int = 0, of: int = 0) -> None:
        self.step, self.done, self.of = step, done, of


class SynchronisationReading(Lookups, Protocol):
    def synchronisations(self, *, before: int | None = None, limit: int = 50) -> Sequence[bytes]:
        """Return the documents of those with a lower number, the newest first."""
        ...


@dataclass(kw_only=True)
class SynchronisationDesk:
    """Call `step` every minute or so. Without a feed nothing is ever synchronised here."""

    synchronisation: Synchronisation | None
    stop: Callable[[], None]
    """Ends the feed's work, at shutdown."""
    progress: Progress
    decisions: Decisions
    lookups: SynchronisationReading
    clock: Clock
    node: str
    """Another one for every place that runs a server; the same after a restart."""
    connections: FeedConnections | None = None
    """The ways to what is fetched; None: nothing is."""
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _watch: Watch = field(default_factory=Watch, init=False)

    async def begin(
        self,
        decide: Decide,
        *,
        by: str,
        full: bool,
        feeds: tuple[str, ...] = (),
        before: Before | None = None,
    ) -> Run:
        """Start one; it goes on by itself. `feeds`: of several, these alone are fetched.

        If what comes `before` fails, so does the whole.

        Raises:
            WrongState: there is no feed, or one is running already.
        """
        synchronisation = self.synchronisation
        if synchronisation is None:
            raise WrongState("this server has no feed; start it with --feed")
        if self._is_running():
            raise WrongState("a synchronisation is running already")
        run = await decide(
            partial(
                runs.begin,
                node=self.node,
                by=by,
                full=full,
                now=self.clock.now(),
                is_lost=self._is_lost,
                feeds=feeds,
            )
        )
        self.progress.note("starting")
        self._task = asyncio.create_task(self._go(synchronisation, run, before))
        return run

    async def step(self) -> None:
        """Start what is due."""
        if self.synchronisation is None or self._is_running():
            return
        found = await asyncio.to_thread(self.next, is_due=True)
        if found is not None:
            # Another node may have been quicker.
            with suppress(WrongState):
                await self.begin(
                    self._as_system, by=SYSTEM, full=found.full, feeds=self._feeds(found)
                )

    def _feeds(self, found: Due) -> tuple[str, ...]:
        """Return which feeds a retry is for: after one that was done, those alone that failed."""
        last = self.last()
        if found.why is not Why.RETRY or last is None:
            return ()
        return last.run.failed or last.run.feeds

    def next(self, *, is_due: bool = False) -> Due | None:
        """Return what begins next by itself, and when; `is_due`: only if that is now."""
        now, last = self.clock.now(), self.last()
        schedule = schedule_of(read_schedule(self.lookups.setting(SCHEDULE)))
        decide = due if is_due else upcoming
        return decide(schedule, last.history() if last else (), now)

    def last(self) -> Last | None:
        """Return the last one and, wherever it runs, how far it is."""
        last = read_last(self.lookups.setting(LAST))
        if last is None or last.run.state != "running":
            return last
        if last.run.node == self.node and self._is_running():
            at = self.progress
            return msgspec.structs.replace(last, step=at.step, done=at.done, of=at.of)
        if self._is_lost(last):
            return msgspec.structs.replace(last, run=runs.interrupted(last.run))
        return last

    def runs(self, *, before: int | None = None, limit: int = 50) -> Sequence[Run]:
        """Return some, the newest first."""
        last = self.last()
        found = read_runs(self.lookups.synchronisations(before=before, limit=limit))
        return [last.run if last and run.number == last.run.number else run for run in found]

    async def close(self) -> None:
        """End the running one; it is written down as failed."""
        self.stop()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    def _is_lost(self, last: Last) -> bool:
        """Say whether a run that seems to go on, and not in this process, does not."""
        return last.run.node == self.node or self._watch.is_lost(last, self.clock.now())

    async def _as_system(self, work: Callable[[Transaction], Run]) -> Run:
        return await self.decisions.decide(SYSTEM, START, work, now=self.clock.now())

    async def _go(self, synchronisation: Synchronisation, run: Run, before: Before | None) -> None:
        renewing = asyncio.create_task(self._renew(run))
        try:
            if before is not None:
                await before()
            made = await synchronisation.run(
                run.by,
                full=run.full,
                feeds=run.feeds,
                fence=lambda tx: runs.require_latest(tx, run),
            )
            ended = _done(run, made)
        except PatchtideError as error:
            ended = _failed(run, error)
        except Exception:  # whatever it was, the history must not tell of a run for ever
            log.exception("a synchronisation failed")
            ended = _failed(run, PatchtideError())
        finally:
            renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await self._write_down(ended)

    async def _renew(self, run: Run) -> None:
        """Say every few seconds that it goes on; others see by that how far it is, too."""
        while True:
            await asyncio.sleep(runs.RENEWED_EVERY.total_seconds())
            at, now = self.progress, self.clock.now()
            work = partial(runs.renew, run=run, now=now, step=at.step, done=at.done, of=at.of)
            try:
                await self.decisions.decide(SYSTEM, RENEW, work, now=now)
            except StaleRevision:
                log.warning("another node synchronises, since this one was not heard")
                return
            except PatchtideError as error:
                log.warning("that the synchronisation goes on was not written down: %s", error)

    async def _write_down(self, run: Run) -> None:
        now = self.clock.now()
        ended = msgspec.structs.replace(run, ended_at=now.timestamp())
        await self.decisions.decide(SYSTEM, END, partial(runs.end, ended=ended), now=now)


def _done(run: Run, made: Synchronised) -> Run:
    upserts = [leaf for changes in made.changed.values() for leaf in changes.upserts]
    new = sum(leaf.number == UNNUMBERED for leaf in upserts)
    return msgspec.structs.replace(
        run,
        state="done",
        note="; ".join(filter(None, (_untold(made), _removed(made), made.head.note))),
        failed=made.head.failed,
        as_of=max((at.timestamp() for at in made.head.as_of.values()), default=0.0),
        updates=made.updates,
        new=new,
        revised=len(upserts) - new,
        gone=sum(len(changes.drops) for changes in made.changed.values()),
        left_out=made.left_out,
    )


def _removed(made: Synchronised) -> str:
    files = "1 file" if made.removed == 1 else f"{made.removed} files"
    return f"removed {files} of vendors' indexes that newer ones replaced" if made.removed else ""


def _untold(made: Synchronised) -> str:
    names = ", ".join(made.untold)
    return f"no feed tells any more of {names}: kept as it was, and out of date" if names else ""


def _failed(run: Run, error: PatchtideError) -> Run:
    return msgspec.structs.replace(run, state="failed", code=error.code, error=str(error))
