"""What a machine's system is called follows the part of the catalog that it follows itself.

It tells its platform when it enrols. Brought to another release it follows the catalog of that
one, which has the same name, and says so with each check-in.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Protocol

from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.standings import Entry
from patchtide.wire.shard_plan import FEEDS, role_of

SYSTEM, FOLLOW = "system", "machines.platform"
SLICE, MOST = 200, 1000
"""So many are written at once, and in one step: machines of before told no platform at all."""
DAY_S = 86_400.0


class ClientReading(Protocol):
    def clients_of(self, uuids: Sequence[bytes]) -> Sequence[Client]: ...


def platform_in(shards: Mapping[str, int]) -> str:
    """Return the system whose catalog is followed; empty: none, or nobody can say which."""
    systems = [name for name in shards if role_of(name) == FEEDS]
    return sys.intern(systems[0]) if len(systems) == 1 else ""


@dataclass(kw_only=True)
class ToldPlatforms:
    """Call `step` every few seconds."""

    reading: ClientReading
    decisions: Decisions
    clock: Clock
    _heard: dict[bytes, str] = field(default_factory=dict)
    """What is to be held against what is kept, by client."""
    _followed: dict[bytes, float] = field(default_factory=dict)
    """When that was written down; whoever is otherwise every minute is followed once a day."""

    def hear(self, entry: Entry, shards: Mapping[str, int]) -> None:
        """Note what a machine that checks in follows, if it is something else than before."""
        platform = platform_in(shards)
        if platform and platform != entry.platform:
            entry.platform = platform
            self._heard[entry.uuid] = platform

    async def step(self) -> None:
        now = self.clock.now()
        since = now.timestamp() - DAY_S
        self._followed = {uuid: at for uuid, at in self._followed.items() if at > since}
        due = [uuid for uuid in self._heard if uuid not in self._followed][:MOST]
        for start in range(0, len(due), SLICE):
            await self._follow({u: self._heard[u] for u in due[start : start + SLICE]}, now)

    async def _follow(self, heard: Mapping[bytes, str], now: datetime) -> None:
        clients = await asyncio.to_thread(self.reading.clients_of, list(heard))
        others = {c.uuid: heard[c.uuid] for c in clients if c.platform != heard[c.uuid]}
        if others:
            await self.decisions.decide(SYSTEM, FOLLOW, partial(_written, told=others), now=now)
            self._followed |= dict.fromkeys(others, now.timestamp())
        for uuid, platform in heard.items():
            if self._heard[uuid] == platform:  # or it was heard again meanwhile
                del self._heard[uuid]


def _written(tx: Transaction, *, told: Mapping[bytes, str]) -> None:
    """Another node may have been first, and whoever is retired changes no more."""
    others = [c for c in tx.clients(list(told)) if c.platform != told[c.uuid]]
    moved = [c for c in others if c.state is not ClientState.DECOMMISSIONED]
    tx.set_platforms({client.uuid: told[client.uuid] for client in moved})
    for client in moved:
        now = told[client.uuid]
        tx.note(client.uuid.hex(), name=client.name, before=client.platform, now=now)
