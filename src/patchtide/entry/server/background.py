"""What goes on beside requests; each loop outlives any one failure."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from patchtide.domain.errors import Unavailable
from patchtide.entry.server.alerting import alert_watch, courier, subscription_watch
from patchtide.entry.server.node import Server
from patchtide.server.building import BuildWatch
from patchtide.server.called import let_in_of
from patchtide.server.catalog import CatalogPublisher
from patchtide.server.decision_watch import DecisionWatch
from patchtide.server.epoch_watch import EpochWatch
from patchtide.server.expiry import ExpiredUpdates, Holder
from patchtide.server.fact_changes import FactUpkeep
from patchtide.server.fleet import Fleet
from patchtide.server.history_recorder import HistoryRecorder
from patchtide.server.listening import in_time
from patchtide.server.upkeep import Upkeep

log = logging.getLogger(__name__)

PRESENCE_S = 10.0
FOLLOW_S = 1.0
FLEET_FOLLOW_S = 0.5
STREAM_FOLLOW_S = 0.1
"""Within a stream of reports it is looked for more, and for its end, this often."""
DECISIONS_S = 0.5
"""A machine that was retired at another node is refused here within a second (S43)."""
EPOCH_S = 10.0
UPKEEP_S = 60.0
"""How often is asked whether it is time for upkeep; a server that restarts often does it too."""
FAILURES_S = 60.0
"""How often is asked whether failed sign-ins are to be written down."""
EXPIRE_S = 3600.0
PLATFORMS_S = 10.0
"""How often is written down what machines that came to another release are called now."""
BUILD_S = 10.0
"""How often is asked whether a machine in build is to be handed over."""
FLEET_S = 600.0
"""How often the view of the fleet is written down, besides at the end."""
HISTORY_S = 60.0
"""How often is asked whether the fleet is to be counted."""
SYNCHRONISE_S = 60.0
"""How often is asked whether a synchronisation is due."""
ALERT_S = 15.0
"""How often is asked whether a minute is over: the node that measured last may be gone."""
SEND_S = 30.0
"""How often is asked whether a report is to be sent."""
DELIVER_S = 5.0
"""How often is asked whether somebody outside is to be told something."""
SIGN_S = 60.0
"""How often is asked whether something is to be signed; at once after the start, too."""


@contextlib.asynccontextmanager
async def background(server: Server) -> AsyncIterator[None]:
    """Run what goes on beside requests; each loop outlives any one failure."""
    tasks = [asyncio.create_task(_every(seconds, work)) for seconds, work in _rounds(server)]
    tasks.append(asyncio.create_task(server.agents.events.keep_alive()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.context.synchronisations.close()
        await asyncio.to_thread(server.agents.close)
        await _at_the_end(_save_presence(server))
        await _at_the_end(_save_fleet(server.context.fleet))
        await _at_the_end(server.context.failed_sign_ins.write())


def _rounds(server: Server) -> Iterator[tuple[float, Callable[[], Awaitable[object]]]]:
    """Yield what is done again and again, and how many seconds apart."""
    yield PRESENCE_S, partial(_save_presence, server)
    epoch = _epoch(server)
    yield EPOCH_S, partial(_watch_epoch, epoch)
    yield DECISIONS_S, _decisions(server, epoch).step
    yield FOLLOW_S, server.follower.step
    yield FOLLOW_S, server.trust.step
    yield FLEET_FOLLOW_S, partial(_keep_up, server.context.fleet)
    yield FLEET_FOLLOW_S, partial(_follow_facts, server.context.fleet)
    yield FOLLOW_S, partial(server.agents.told.step, server.storage, server.context.fleet)
    # Nodes that share a home share the file: half a round ago is good enough for the others.
    yield FLEET_S, partial(_save_fleet, server.context.fleet, older_than_s=FLEET_S / 2)
    yield UPKEEP_S, _upkeep(server).step
    yield FAILURES_S, server.context.failed_sign_ins.step
    yield SYNCHRONISE_S, server.context.synchronisations.step
    yield FOLLOW_S, server.context.descriptions.step
    yield PLATFORMS_S, server.agents.platforms.step
    yield BUILD_S, _building(server).step
    yield EXPIRE_S, _expired(server).step
    yield EXPIRE_S, server.context.drafts.step
    yield ALERT_S, alert_watch(server).step
    yield SEND_S, subscription_watch(server).step
    yield DELIVER_S, courier(server).step
    yield SIGN_S, partial(_sign, server.catalog)
    yield HISTORY_S, _history(server).step


def _upkeep(server: Server) -> Upkeep:
    return Upkeep(
        storage=server.storage,
        facts=FactUpkeep(server.storage.fact_history),
        archive=server.context.audit_archive,
        inventories=server.agents.inventories,
        clock=server.context.clock,
    )


def _building(server: Server) -> BuildWatch:
    context = server.context
    return BuildWatch(
        reading=server.storage,
        fleet=context.fleet,
        decisions=server.storage,
        clock=context.clock,
    )


def _expired(server: Server) -> ExpiredUpdates:
    lists = server.storage.update_lists
    return ExpiredUpdates(
        decisions=server.storage,
        reading=server.storage,
        holders=(Holder(held=lists.held, held_in=lambda tx: tx.update_lists.held),),
        clock=server.context.clock,
        kept=timedelta(days=server.settings.expired_days),
    )


def _history(server: Server) -> HistoryRecorder:
    context = server.context
    return HistoryRecorder(
        fleet=context.fleet,
        source=server.storage,
        decisions=server.storage,
        clock=context.clock,
        node=context.synchronisations.node,
        silent_after=lambda: context.silent_after,
    )


def _decisions(server: Server, epoch: EpochWatch) -> DecisionWatch:
    agents, fleet = server.agents, server.context.fleet

    async def members(collection: UUID) -> Sequence[bytes]:
        return await fleet.run(lambda: fleet.ask(lambda view: let_in_of(fleet, view, collection)))

    return DecisionWatch(
        reading=server.storage,
        since=agents.since,
        standings=agents.standings,
        read_again=epoch.read_again,
        wake=agents.events.wake,
        call=agents.events.call,
        members=members,
    )


def _epoch(server: Server) -> EpochWatch:
    agents = server.agents
    return EpochWatch(
        server.storage,
        standings=agents.standings,
        inventories=agents.inventories,
        clock=server.context.clock,
        since=agents.since,
    )


async def _save_presence(server: Server) -> None:
    standings = server.agents.standings
    unsaved = standings.unsaved()
    try:
        await server.storage.flush_presence(in_time(unsaved, now=server.context.clock.now()))
    except BaseException:  # a cancelled flush must not lose what it held, either
        standings.keep_for_later(unsaved)
        raise


async def _watch_epoch(epoch: EpochWatch) -> None:
    if await epoch.step():
        log.warning("the database was restored: all machines are asked for full reports")


async def _keep_up(fleet: Fleet) -> None:
    is_streaming = await fleet.run(fleet.keep_up)
    while is_streaming:
        await asyncio.sleep(STREAM_FOLLOW_S)
        is_streaming = await fleet.run(fleet.keep_up)


async def _follow_facts(fleet: Fleet) -> None:
    await fleet.run(fleet.follow_facts)


async def _save_fleet(fleet: Fleet, *, older_than_s: float = 0.0) -> None:
    await fleet.run(partial(fleet.save, older_than_s=older_than_s))


async def _sign(catalog: CatalogPublisher) -> None:
    await catalog.catch_up()
    await catalog.stay_fresh()


async def _every(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    is_waiting = False
    while True:
        try:
            await work()
            is_waiting = False
        except Unavailable as error:
            if not is_waiting:  # for an hour without a database one line is enough
                log.warning("background work waits: %s", error)
            is_waiting = True
        except Exception:  # the server outlives any one bad round
            log.exception("background work failed")
        await asyncio.sleep(seconds)


async def _at_the_end(work: Awaitable[None]) -> None:
    """Do what is left; without its database a server ends nevertheless."""
    try:
        await work
    except Unavailable as error:
        log.warning("something is not stored at the end: %s", error)
