"""A machine says that it is there, and learns what is newer. Nothing durable changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.admission import Caller, Door, NotAdmitted
from patchtide.server.clones import CloneWatch
from patchtide.server.divergence import Divergence
from patchtide.server.inventories import Inventories
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.site import Site
from patchtide.server.standings import Entry, Standings
from patchtide.server.told_agents import ToldAgents
from patchtide.server.told_platforms import ToldPlatforms
from patchtide.wire.messages import CheckInAnswerV1, CheckInV1, encode

SCAN_OWED_S = 7 * 86_400
"""An agent from before scans could be asked for never tells of one; it has scanned by then."""


@dataclass(kw_only=True)
class CheckIns:
    """Answers check-ins of this node."""

    door: Door
    standings: Standings
    site: Site
    clones: CloneWatch
    inventories: Inventories
    divergence: Divergence
    platforms: ToldPlatforms
    clock: Clock
    told: ToldAgents = field(default_factory=ToldAgents)

    async def answer(self, caller: Caller, said: CheckInV1) -> CheckInAnswerV1 | None:
        """Return what is newer for this client, or None: nothing.

        Raises:
            Jump, SayAgain, NotAdmitted: see Door.
        """
        now = self.clock.now()
        if said.counter != caller.claim.counter:
            raise InvalidDocument([Problem("counter", "is not the one that was signed")])
        self.door.take_counter(caller, now=now.timestamp())
        entry, health = caller.entry, said.health
        if not entry.saw_boot(health.boot_id, counter=said.counter):
            await self.clones.quarantine(entry, why="interleaved boot ids", now=now)
            raise NotAdmitted(entry.state)
        if health.trust_seen:
            await self.divergence.watch(entry.uuid, health.trust_seen, now=now)
        self.platforms.hear(entry, said.shards)
        has_policy = self.told.settings_of(entry.uuid).is_had_by(said.settings)
        self.standings.seen(
            entry, now=now.timestamp(), health=encode(health), has_policy=has_policy
        )
        return await self._news(entry, said)

    async def _news(self, entry: Entry, said: CheckInV1) -> CheckInAnswerV1 | None:
        shards = newer(said.shards, self.site.serials())
        lost_track = entry.full_report or (bool(said.digest) and said.digest != entry.digest)
        at = self.clock.now().timestamp()
        lacking = await self.inventories.lacking(entry.number, said.inventory, now=at)
        scan = entry.scan_wanted if at - entry.scan_wanted < SCAN_OWED_S else 0
        told = self.told.settings_of(entry.uuid)
        settings = told.newer_than(said.settings)
        if not (shards or lost_track or lacking or scan or settings):
            return None
        return CheckInAnswerV1(
            next_poll_s=told.poll_s,
            shards=shards,
            full_report=lost_track,
            inventory=lacking,
            root_version=self.site.root()[0],
            scan=scan,
            settings=settings,
        )


def newer(have: Mapping[str, int], published: Mapping[str, int]) -> dict[str, int]:
    """Return the shards that a client follows and whose serial is not the published one.

    A client names every shard that it follows; one it has nothing of yet has serial 0. A client
    that is ahead of the site (restored from a backup) hears of it too, and decides by its floor.
    """
    return {
        name: published[name]
        for name, serial in have.items()
        if name in published and published[name] != serial
    }
