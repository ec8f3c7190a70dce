"""Filling a fresh server: a catalog, collections, machines, what they reported last, lists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from patchtide.domain.catalog.details import UpdateDetails
from patchtide.entry.server.demo import reporting
from patchtide.entry.server.demo.gathered import gather, open_windows
from patchtide.entry.server.demo.lots import chance
from patchtide.entry.server.demo.machines import described, new_client
from patchtide.entry.server.demo.past import remember
from patchtide.entry.server.demo.releases import leaf_of
from patchtide.entry.server.demo.stock import Stock
from patchtide.entry.server.demo.systems import BY_PRODUCT, SYSTEMS
from patchtide.entry.server.node import Server
from patchtide.server.ports.clients import Client
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.update_lists import SavedSearch, StoredList

CLIENTS_AT_ONCE = 200
DETAILS_AT_ONCE = 100
SINCE = timedelta(days=40)
ACTOR = "system"
SEARCHES = {
    "urgent": "risk >= high and required > 0 and not superseded",
    "browsers": '"firefox" or "chromium"',
    "fresh": "age < 14d",
    "kernels": '"linux" or "kernel"',
    "needed-and-old": "age > 60d and required > 0",
}
Say = Callable[[str], None]


async def furnish(
    server: Server,
    *,
    machines: int,
    details: Sequence[UpdateDetails],
    names: Sequence[str] = (),
    past: bool = False,
    say: Say = lambda text: None,
) -> Sequence[Client]:
    """Put these updates and so many machines in, the first of them with these names.

    `past`: with what was counted on each of the last days.
    """
    now = server.context.clock.now()
    say(f"{len(details)} updates are published and signed")
    numbers = await publish(server, details)
    say(f"{machines} machines are enrolled")
    await gathered(server)
    clients = await enrol(server, machines, names=names)
    say("they report")
    stock = await read_stock(server, begun_at=now)
    await reporting.report_first(server, clients, stock)
    await keep(server, details, now=now)
    if past:
        say("their last weeks are counted")
        # Another stock: of the past more is made than anybody wants to keep.
        await remember(server, clients, await read_stock(server, begun_at=now), numbers=numbers)
    await server.agents.standings.refresh([client.uuid for client in clients])
    return clients


async def publish(server: Server, details: Sequence[UpdateDetails]) -> Mapping[UUID, int]:
    """Publish each in the shard of its system; return the numbers they got."""
    now = server.context.clock.now()
    by_shard: dict[str, list[UpdateDetails]] = defaultdict(list)
    for one in details:
        by_shard[BY_PRODUCT.get(one.product, SYSTEMS[0]).shard].append(one)
    numbers: dict[UUID, int] = {}
    for shard, some in by_shard.items():
        actor = f"feed:{some[0].feed}"
        done = await server.catalog.publish(actor, shard, leaves=list(map(leaf_of, some)))
        numbers.update({leaf.update: leaf.number for leaf in done.leaves})
        for start in range(0, len(some), DETAILS_AT_ONCE):
            part = some[start : start + DETAILS_AT_ONCE]

            def work(
                tx: Transaction, shard: str = shard, part: Sequence[UpdateDetails] = part
            ) -> None:
                tx.put_update_details(part)
                tx.note(shard, updates=len(part))

            await server.storage.decide(actor, "catalog.describe", work, now=now)
    return numbers


async def gathered(server: Server) -> None:
    """Make the collections of machines, and say when those may be changed."""
    now = server.context.clock.now()
    for operation, work in (("collections.create", gather), ("windows.create", open_windows)):
        await server.storage.decide(ACTOR, operation, partial(work, by=ACTOR, at=now), now=now)


async def enrol(server: Server, count: int, *, names: Sequence[str] = ()) -> Sequence[Client]:
    now = server.context.clock.now()
    clients: list[Client] = []
    for start in range(0, count, CLIENTS_AT_ONCE):

        def work(tx: Transaction, start: int = start) -> list[Client]:
            made = []
            for number in range(start, min(start + CLIENTS_AT_ONCE, count)):
                name = names[number] if number < len(names) else ""
                client = new_client(number, count=count, name=name)
                made.append(tx.add_client(client, now=now - SINCE * chance("age", number)))
                tx.note(client.uuid.hex(), name=client.name)
            # What people would say: whose they are, what for, where, how critical.
            told = [one for one in made if chance("described", one.number) < 0.97]
            tx.describe_clients({client.number: described(client) for client in told})
            return made

        clients += await server.storage.decide(ACTOR, "agents.enrol", work, now=now)
    return clients


async def read_stock(server: Server, *, begun_at: datetime) -> Stock:
    """Return what is published, as the database has it."""
    numbers: dict[UUID, int] = {}
    for shard, serial in server.catalog.serials().items():
        after = 0
        while some := server.storage.leaves(shard, at=serial, after=after):
            numbers.update({UUID(bytes=leaf.update): leaf.number for leaf in some})
            after = some[-1].number
    told = server.storage.update_details()
    return Stock(
        ((one, numbers[one.update]) for one in told if one.update in numbers),
        lineage=bytes(server.catalog.lineage()),
        begun_at=begun_at.timestamp(),
    )


async def keep(server: Server, details: Sequence[UpdateDetails], *, now: datetime) -> None:
    """Make what people would have made: searches, the lists of the last months."""
    by_month: dict[str, list[UUID]] = defaultdict(list)
    for one in details:
        if one.released is not None and now - one.released < timedelta(days=90):
            by_month[f"{one.released:%Y-%m}"].append(one.update)

    def work(tx: Transaction) -> None:
        for name, query in SEARCHES.items():
            tx.update_lists.put_search(SavedSearch(name=name, query=query, by=ACTOR, at=now))
            tx.note(name, query=query)
        for month, updates in by_month.items():
            note = f"What was released in {month}"
            tx.update_lists.add_list(StoredList(name=month, note=note, by=ACTOR, at=now))
            tx.update_lists.put_on(month, updates[:DETAILS_AT_ONCE])
            tx.note(month, updates=len(updates))

    await server.storage.decide(ACTOR, "lists.create", work, now=now)
