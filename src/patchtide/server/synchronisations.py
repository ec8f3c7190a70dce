"""Bringing the catalog to where its feed is, on demand; and what became of it each time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import NotFound, WrongState
from patchtide.server.context import Call
from patchtide.server.feed_dates import DATES, forget, read_dates
from patchtide.server.listing import Limit
from patchtide.server.ports.decisions import Transaction
from patchtide.server.synchronisation import APPLIED, untold
from patchtide.server.synchronisation_desk import SynchronisationDesk
from patchtide.server.synchronisation_runs import Last, Run, RunState
from patchtide.server.table import Input, Output


class Synchronise(Input, kw_only=True, frozen=True):
    full: Annotated[
        bool,
        Meta(description="Revise what has changed, too, and let go what is named no more."),
    ] = False


class AcceptOlder(Input, kw_only=True, frozen=True):
    suite: Annotated[
        str, Meta(min_length=1, max_length=256, description="As `feed-went-back` names it.")
    ]


class Withdraw(Input, kw_only=True, frozen=True):
    shard: Annotated[
        str, Meta(max_length=64, description="As the note of the last synchronisation names it.")
    ]


class ListSynchronisations(Input, kw_only=True, frozen=True):
    before: Annotated[
        int,
        Meta(
            ge=0, lt=2**53, description="Only earlier ones than this (`next` of the page before)."
        ),
    ] = 0
    limit: Limit = 50


class ShownSynchronisation(Output, kw_only=True, frozen=True):
    number: int
    state: RunState
    step: str
    """What a running one is at."""
    done: int
    of: int
    started_at: datetime
    ended_at: datetime | None
    by: str
    full: bool
    """Not only what is new: what has changed and what is named no more, too."""
    updates: int
    """How many the feed told of; the next three are variants of them that were published."""
    new: int
    revised: int
    gone: int
    left_out: int
    """How many it told of that this site has not chosen."""
    as_of: datetime | None
    """When a vendor last signed anything of what was read."""
    code: str
    error: str
    note: str
    feeds: tuple[str, ...]
    """Of several feeds these alone were fetched, since they had failed; none: all."""
    failed: tuple[str, ...]
    """Those of several that could not be read; they are tried again within the hour."""


class SynchronisationList(Output, kw_only=True, frozen=True):
    items: tuple[ShownSynchronisation, ...]
    next: int | None
    """Where to go on; null at the end."""


async def synchronise(call: Call, principal: Principal, asked: Synchronise) -> ShownSynchronisation:
    """Raises WrongState: there is no feed, or one is running already."""
    desk = call.context.synchronisations
    run = await desk.begin(
        lambda work: call.decide(principal, work), by=principal.actor, full=asked.full
    )
    return shown(run, None)


async def accept_older(call: Call, principal: Principal, asked: AcceptOlder) -> None:
    """Raises NotFound: nothing is remembered of such a suite."""

    def work(tx: Transaction) -> None:
        known = read_dates(tx.setting(DATES))
        if not forget(tx, [asked.suite]):
            raise NotFound(f"nothing was read of {asked.suite}; of {', '.join(sorted(known))}")
        tx.note(asked.suite, signed_at=round(known[asked.suite]))

    await call.decide(principal, work)


async def withdraw(call: Call, principal: Principal, asked: Withdraw) -> None:
    """Raises NotFound: a feed tells of it. WrongState: no feed, or a synchronisation is running."""
    desk = call.context.synchronisations
    last = await call.read(desk.last)
    if desk.synchronisation is None or (last is not None and last.run.state == "running"):
        raise WrongState("this server has no feed, or a synchronisation is running")

    def work(tx: Transaction) -> None:
        names = untold(tx.setting(APPLIED))
        if asked.shard not in names:
            others = ", ".join(names) or "none"
            raise NotFound(
                f"{asked.shard} is none of which no feed tells any more; those: {others}"
            )
        tx.note(asked.shard)

    await call.decide(principal, work)
    await desk.synchronisation.withdraw(principal.actor, asked.shard)


async def list_some(
    call: Call, principal: Principal, asked: ListSynchronisations
) -> SynchronisationList:
    """The newest first."""
    return await call.read(lambda: _listed(call.context.synchronisations, asked))


def _listed(desk: SynchronisationDesk, asked: ListSynchronisations) -> SynchronisationList:
    last = desk.last()
    found = desk.runs(before=asked.before or None, limit=asked.limit + 1)
    items = tuple(shown(run, last) for run in found[: asked.limit])
    return SynchronisationList(
        items=items, next=items[-1].number if len(found) > asked.limit else None
    )


def shown(run: Run, last: Last | None) -> ShownSynchronisation:
    at = last if last is not None and last.run.number == run.number else None
    return ShownSynchronisation(
        number=run.number,
        state=run.state,
        step=at.step if at else "",
        done=at.done if at else 0,
        of=at.of if at else 0,
        started_at=datetime.fromtimestamp(run.started_at, UTC),
        ended_at=_moment(run.ended_at),
        by=run.by,
        full=run.full,
        updates=run.updates,
        new=run.new,
        revised=run.revised,
        gone=run.gone,
        left_out=run.left_out,
        as_of=_moment(run.as_of),
        code=run.code,
        error=run.error,
        note=run.note,
        feeds=run.feeds,
        failed=run.failed,
    )


def _moment(epoch_s: float) -> datetime | None:
    return datetime.fromtimestamp(epoch_s, UTC) if epoch_s else None
