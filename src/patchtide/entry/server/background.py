"""What goes on beside requests; each loop outlives any one failure."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

from patchtide.entry.server.audit_folder import AuditFolder
from patchtide.entry.server.node import Server
from patchtide.server.epoch_watch import EpochWatch
from patchtide.server.expiry import ExpiredUpdates, Holder
from patchtide.server.fleet_follower import in_time
from patchtide.server.upkeep import Upkeep

log = logging.getLogger(__name__)

PRESENCE_S = 10.0
FOLLOW_S = 1.0
EPOCH_S = 10.0
UPKEEP_S = 60.0
"""How often is asked whether it is time for upkeep; a server that restarts often does it too."""
FAILURES_S = 60.0
"""How often is asked whether failed sign-ins are to be written down."""
EXPIRE_S = 3600.0
SYNCHRONISE_S = 60.0
"""How often is asked whether a synchronisation is due."""
SIGN_S = 60.0
"""How often is asked whether something is to be signed; at once after the start, too."""


@contextlib.asynccontextmanager
async def background(server: Server) -> AsyncIterator[None]:
    """Run what goes on beside requests; each loop outlives any one failure."""
    clock, storage = server.context.clock, server.storage

    async def presence() -> None:
        unsaved = server.agents.standings.unsaved()
        try:
            await storage.flush_presence(in_time(unsaved, now=clock.now()))
        except BaseException:  # a cancelled flush must not lose what it held, either
            server.agents.standings.keep_for_later(unsaved)
            raise

    agents = server.agents
    upkeep = Upkeep(
        storage=storage,
        archive=AuditFolder(server.settings.home / "audit"),
        inventories=agents.inventories,
        clock=clock,
    )
    expired = ExpiredUpdates(
        decisions=storage,
        reading=storage,
        holders=(Holder(held=storage.update_lists.held, held_in=lambda tx: tx.update_lists.held),),
        clock=clock,
        kept=timedelta(days=server.settings.expired_days),
    )
    epoch = EpochWatch(
        storage, standings=agents.standings, inventories=agents.inventories, clock=clock
    )

    async def watch_epoch() -> None:
        if await epoch.step():
            log.warning("the database was restored: all machines are asked for full reports")

    async def sign() -> None:
        await server.catalog.catch_up()
        await server.catalog.stay_fresh()

    async def keep_up() -> None:
        fleet = server.context.fleet
        await fleet.run(fleet.keep_up)

    tasks = [
        asyncio.create_task(_every(PRESENCE_S, presence)),
        asyncio.create_task(_every(EPOCH_S, watch_epoch)),
        asyncio.create_task(_every(FOLLOW_S, server.follower.step)),
        asyncio.create_task(_every(FOLLOW_S, server.trust.step)),
        asyncio.create_task(_every(FOLLOW_S, keep_up)),
        asyncio.create_task(_every(UPKEEP_S, upkeep.step)),
        asyncio.create_task(_every(FAILURES_S, server.context.failed_sign_ins.step)),
        asyncio.create_task(_every(SYNCHRONISE_S, server.context.synchronisations.step)),
        asyncio.create_task(_every(FOLLOW_S, server.context.descriptions.step)),
        asyncio.create_task(_every(EXPIRE_S, expired.step)),
        asyncio.create_task(_every(SIGN_S, sign)),
        asyncio.create_task(server.agents.events.keep_alive()),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.context.synchronisations.close()
        await asyncio.to_thread(server.agents.close)
        await presence()
        await server.context.failed_sign_ins.write()


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:  # the server outlives any one bad round
            log.exception("background work failed")
        await asyncio.sleep(seconds)
