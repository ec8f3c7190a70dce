"""Bringing the catalog to where its feed is, on demand; and what became of it each time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.server.context import Call
from patchtide.server.synchronisation_desk import Run, RunState, SynchronisationDesk
from patchtide.server.table import Input, Nothing, Output


class Synchronise(Input, kw_only=True, frozen=True):
    only_new: Annotated[
        bool, Meta(description="Only what is new comes; nothing is revised and nothing leaves.")
    ] = False


class ShownSynchronisation(Output, kw_only=True, frozen=True):
    number: int
    state: RunState
    step: str
    """What a running one is at; empty where that is not known."""
    done: int
    of: int
    started_at: datetime
    ended_at: datetime | None
    by: str
    only_new: bool
    updates: int
    """How many the feed told of; the next three are variants of them that were published."""
    new: int
    revised: int
    gone: int
    as_of: datetime | None
    """When a vendor last signed anything of what was read."""
    code: str
    error: str
    note: str


class SynchronisationList(Output, kw_only=True, frozen=True):
    items: tuple[ShownSynchronisation, ...]


async def synchronise(call: Call, principal: Principal, asked: Synchronise) -> ShownSynchronisation:
    """Raises WrongState: there is no feed, or one is running already."""
    desk = call.context.synchronisations
    run = await desk.begin(
        lambda work: call.decide(principal, work), by=principal.actor, full=not asked.only_new
    )
    return _shown(run, desk)


async def list_some(call: Call, principal: Principal, asked: Nothing) -> SynchronisationList:
    """The newest first."""
    desk = call.context.synchronisations
    runs = await call.read(desk.runs)
    return SynchronisationList(items=tuple(_shown(run, desk) for run in reversed(runs)))


def _shown(run: Run, desk: SynchronisationDesk) -> ShownSynchronisation:
    progress = desk.progress if desk.is_here(run) else None
    return ShownSynchronisation(
        number=run.number,
        state=run.state,
        step=progress.step if progress else "",
        done=progress.done if progress else 0,
        of=progress.of if progress else 0,
        started_at=datetime.fromtimestamp(run.started_at, UTC),
        ended_at=_moment(run.ended_at),
        by=run.by,
        only_new=not run.full,
        updates=run.updates,
        new=run.new,
        revised=run.revised,
        gone=run.gone,
        as_of=_moment(run.as_of),
        code=run.code,
        error=run.error,
        note=run.note,
    )


def _moment(epoch_s: float) -> datetime | None:
    return datetime.fromtimestamp(epoch_s, UTC) if epoch_s else None
