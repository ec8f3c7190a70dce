"""Synchronisations as they are asked for or fall due: one at a time, each written down.

The history lies in the database, so that every node tells the same. How far a running one is, only
the node knows that runs it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from patchtide.domain.catalog.synchronisation import UNNUMBERED
from patchtide.domain.errors import PatchtideError, WrongState
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.storage import Decisions, Lookups, Transaction
from patchtide.server.synchronisation import Synchronisation, Synchronised

log = logging.getLogger(__name__)

HISTORY = "catalog.synchronisations"
START, END = "catalog.synchronise", "catalog.synchronised"
SYSTEM = "system"
KEPT = 50
EVERY = timedelta(hours=1)
AFTER_A_FAILURE = timedelta(minutes=10)
LONGEST = timedelta(hours=1)
"""What another node has been at for longer ended with that node."""
_MAX_TEXT = 1000

RunState = Literal["running", "done", "failed", "interrupted"]
Decide = Callable[[Callable[[Transaction], "Run"]], Awaitable["Run"]]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One synchronisation. Times are epoch seconds."""

    number: int
    node: str
    by: str
    full: bool
    started_at: float
    ended_at: float = 0.0
    state: RunState = "running"
    code: str = ""
    error: str = ""
    note: str = ""
    as_of: float = 0.0
    """When a vendor last signed anything of what was read."""
    updates: int = 0
    """How many the feed told of; and how many leaves of theirs were news."""
    new: int = 0
    revised: int = 0
    gone: int = 0


@dataclass(slots=True)
class Progress:
    """How far the running one is; `done` and `of` are 0 where nothing is counted."""

    step: str = ""
    done: int = 0
    of: int = 0

    def note(self, step: str, done: int = 0, of: int = 0) -> None:
        self.step, self.done, self.of = step, done, of


@dataclass(kw_only=True)
class SynchronisationDesk:
    """Call `step` every minute or so. Without a feed nothing is ever synchronised here."""

    synchronisation: Synchronisation | None
    stop: Callable[[], None]
    """Ends the feed's work, at shutdown."""
    progress: Progress
    decisions: Decisions
    lookups: Lookups
    clock: Clock
    node: str
    """Another one for every place that runs a server; the same after a restart."""
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    async def begin(self, decide: Decide, *, by: str, full: bool) -> Run:
        """Start one; it goes on by itself.

        Raises:
            WrongState: there is no feed, or one is running already.
        """
        synchronisation = self.synchronisation
        if synchronisation is None:
            raise WrongState("this server has no feed; start it with --feed")
        if self._is_running():
            raise WrongState("a synchronisation is running already")
        started = self.clock.now()

        def work(tx: Transaction) -> Run:
            runs = self._as_they_are(_read(tx.lock_setting(HISTORY)), started)
            if runs and runs[-1].state == "running":
                raise WrongState("another node is synchronising")
            run = Run(
                number=runs[-1].number + 1 if runs else 1,
                node=self.node,
                by=by,
                full=full,
                started_at=started.timestamp(),
            )
            tx.put_setting(HISTORY, msgspec.msgpack.encode([*runs, run][-KEPT:]))
            tx.note(str(run.number), full=full)
            return run

        run = await decide(work)
        self.progress.note("starting")
        self._task = asyncio.create_task(self._go(synchronisation, run))
        return run

    async def step(self) -> None:
        """Start what is due."""
        if self.synchronisation is None or self._is_running():
            return
        now = self.clock.now()
        if _is_due(await asyncio.to_thread(self.runs), now):
            # Another node may have been quicker.
            with suppress(WrongState):
                await self.begin(self._as_system, by=SYSTEM, full=True)

    def runs(self) -> Sequence[Run]:
        """Return the last ones, in order."""
        return self._as_they_are(_read(self.lookups.setting(HISTORY)), self.clock.now())

    def is_here(self, run: Run) -> bool:
        """Say whether it is the one whose progress is known."""
        return run.state == "running" and run.node == self.node

    async def close(self) -> None:
        """End the running one; it is written down as failed."""
        self.stop()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def _as_system(self, work: Callable[[Transaction], Run]) -> Run:
        return await self.decisions.decide(SYSTEM, START, work, now=self.clock.now())

    async def _go(self, synchronisation: Synchronisation, run: Run) -> None:
        try:
            ended = _done(run, await synchronisation.run(run.by, full=run.full))
        except PatchtideError as error:
            ended = _failed(run, error)
        except Exception:  # whatever it was, the history must not tell of a run for ever
            log.exception("a synchronisation failed")
            ended = _failed(run, PatchtideError())
        await self._write_down(ended)

    async def _write_down(self, run: Run) -> None:
        now = self.clock.now()
        ended = msgspec.structs.replace(run, ended_at=now.timestamp())

        def work(tx: Transaction) -> None:
            runs = _read(tx.lock_setting(HISTORY))
            known = [ended if one.number == ended.number else one for one in runs]
            tx.put_setting(HISTORY, msgspec.msgpack.encode(known))
            tx.note(str(ended.number), state=ended.state, code=ended.code, updates=ended.updates)

        await self.decisions.decide(SYSTEM, END, work, now=now)

    def _as_they_are(self, runs: Sequence[Run], now: datetime) -> list[Run]:
        """Return them, those that ended with their server told so."""
        return [self._interrupted(run) if self._is_lost(run, now) else run for run in runs]

    def _is_lost(self, run: Run, now: datetime) -> bool:
        if run.state != "running":
            return False
        if run.node == self.node:
            return not self._is_running()
        return not 0 <= now.timestamp() - run.started_at < LONGEST.total_seconds()

    def _interrupted(self, run: Run) -> Run:
        return msgspec.structs.replace(
            run, state="interrupted", error="the server ended before this did"
        )


def _read(data: bytes | None) -> list[Run]:
    return msgspec.msgpack.decode(data, type=list[Run]) if data else []


def _is_due(runs: Sequence[Run], now: datetime) -> bool:
    if not runs:
        return True
    last = runs[-1]
    if last.state == "running":
        return False
    pause = EVERY if last.state == "done" else AFTER_A_FAILURE
    # A clock that was set back must not put it off until it has caught up.
    return not 0 <= now.timestamp() - last.started_at < pause.total_seconds()


def _done(run: Run, made: Synchronised) -> Run:
    upserts = [leaf for changes in made.changed.values() for leaf in changes.upserts]
    new = sum(leaf.number == UNNUMBERED for leaf in upserts)
    return msgspec.structs.replace(
        run,
        state="done",
        note=made.content.note,
        as_of=max((at.timestamp() for at in made.content.as_of.values()), default=0.0),
        updates=sum(map(len, made.content.shards.values())),
        new=new,
        revised=len(upserts) - new,
        gone=sum(len(changes.drops) for changes in made.changed.values()),
    )


def _failed(run: Run, error: PatchtideError) -> Run:
    return msgspec.structs.replace(
        run, state="failed", code=error.code, error=str(error)[:_MAX_TEXT]
    )
