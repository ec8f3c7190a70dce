"""The fleet goes on while somebody looks: machines report in turn, vendors release something."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from math import ceil

from patchtide.entry.server.demo.furnish import publish, read_stock
from patchtide.entry.server.demo.lots import one_of
from patchtide.entry.server.demo.machines import Person, person
from patchtide.entry.server.demo.releases import Release, details_of
from patchtide.entry.server.demo.reporting import Shelves, Told, health, is_heard, take, told
from patchtide.entry.server.demo.stock import Stock
from patchtide.entry.server.demo.systems import SOURCES, SYSTEMS
from patchtide.entry.server.node import Server
from patchtide.server.ports.clients import Client
from patchtide.server.ports.reports import Presence

TICK_S = 2.0
ROUND_S = 240.0
"""In which every machine has its turn."""
RELEASE_S = 600.0
PAGE = 1000


class Living:
    """Drives a furnished server. What it does next follows from what the database holds."""

    def __init__(self, server: Server, stock: Stock) -> None:
        self._server = server
        self._stock = stock
        self._shelves = Shelves()
        self._said: dict[int, tuple[int, bytes, int]] = {}
        """Of each machine: its counter, its digest, the serial it was scanned by."""
        self._machines: Sequence[tuple[Client, Person]] = ()
        self._next = 0

    @classmethod
    async def begin(cls, server: Server, *, begun_at: datetime) -> Living:
        """Read where the fleet is; whoever was heard before is heard now, at once."""
        living = cls(server, await read_stock(server, begun_at=begun_at))
        await asyncio.to_thread(living._read)
        now = server.context.clock.now().timestamp()
        seen = [
            Presence(
                client=client.number,
                counter=living._said.get(client.number, (0, b"", 0))[0],
                seen_at=now,
                health=health(one),
            )
            for client, one in living._machines
        ]
        await server.storage.flush_presence(seen)
        return living

    def _read(self) -> None:
        storage, after = self._server.storage, 0
        while rows := storage.states(after=after, limit=PAGE):
            self._said |= {row.client: (row.counter, row.digest, 0) for row in rows}
            after = rows[-1].client
        known = storage.clients_numbered(sorted(self._said))
        people = [(client, person(client)) for client in known]
        self._machines = [pair for pair in people if is_heard(*pair)]

    async def run(self) -> None:
        """Go on until cancelled."""
        clock = asyncio.get_running_loop().time
        release_at = clock() + RELEASE_S
        while True:
            await asyncio.sleep(TICK_S)
            await self.step()
            if clock() >= release_at:
                release_at = clock() + RELEASE_S
                await self.release()

    async def step(self) -> None:
        """Have the next machines scan; they report what changed, and check in otherwise."""
        turns = ceil(len(self._machines) * TICK_S / ROUND_S)
        now = self._server.context.clock.now().timestamp()
        serials = self._server.catalog.serials()
        news: list[Told] = []
        quiet: list[Presence] = []
        for client, one in self._turn(turns):
            counter, digest, scanned = self._said[client.number]
            serial = serials.get(one.system.shard, 0)
            made = told(client, one, self._stock, at=now, counter=counter + 1, serial=serial)
            if made.standing.digest == digest and scanned == serial:
                quiet.append(
                    Presence(client=client.number, counter=counter, seen_at=now, health=health(one))
                )
                continue
            news.append(made)
            self._said[client.number] = (counter + 1, made.standing.digest, serial)
        await take(self._server, news)
        await self._shelves.tell(self._server, news, now=now)
        await self._server.storage.flush_presence(quiet)

    def _turn(self, turns: int) -> Sequence[tuple[Client, Person]]:
        start, self._next = self._next, self._next + turns
        if self._next >= len(self._machines):
            self._next = 0
        return self._machines[start : start + turns]

    async def release(self) -> None:
        """Publish one more version of something."""
        now = self._server.context.clock.now()
        moment = int(now.timestamp() // RELEASE_S)
        system = one_of(SYSTEMS, "release", moment)
        source = one_of(SOURCES, "of", moment)
        place = self._stock.of_source(system, source)
        details = details_of(Release(system, source, place, now))
        numbers = await publish(self._server, [details])
        self._stock.add(details, numbers[details.update])
