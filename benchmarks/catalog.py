"""A catalog of 30,000 updates: its lists, and a synchronisation that brings all of them.

A third of the updates stand in chains of ten, each superseded by the next, and 300 machines report
on them. Lists are asked as they are in life: one machine reports before each. The synchronisation
has a feed that costs nothing; beside its time stands how long the loop, which serves machines
meanwhile, was held at most. The baseline of lists is one plain query for as many rows.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from benchmarks import fleet_answers
from benchmarks.console_pages import measure as measure_page
from benchmarks.console_pages import signed_in
from benchmarks.fleet_answers import DICE, SEVERITIES, Site, figure, measure, plain
from patchtide.adapters.storage import Storage
from patchtide.domain.catalog.details import FeedUpdate, UpdateDetails
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.feed import ALL, FeedContent, FeedHead, Wanted
from patchtide.server.ports.update_lists import StoredList
from patchtide.server.synchronisation import Synchronisation
from tests.integration.catalog.node import Node, node
from tests.simulator.catalogs import a_leaf, an_update_id, some_details

UPDATES, MACHINES, CHAIN = 30_000, 300, 10
LISTS, LONG = 500, 1_000


def details(number: int) -> UpdateDetails:
    older = number % 3 == 0 and number // 3 % CHAIN
    return replace(
        some_details(
            f"package{number}", severity=DICE.choice(SEVERITIES), cves=(f"CVE-2026-{number}",)
        ),
        supersedes=(an_update_id(f"package{number - 3}"),) if older else (),
    )


@dataclass
class Feed:
    """One that has everything at hand."""

    updates: Sequence[FeedUpdate]
    stamp: bytes = b"first"

    def fetch(self, wanted: Wanted = ALL) -> None:
        """It is here."""

    def head(self) -> FeedHead:
        return FeedHead(as_of={"suite": datetime(2026, 3, 1, tzinfo=UTC)}, stamp=self.stamp)

    def read(self, *, now: datetime) -> FeedContent:
        head = self.head()
        shards = {"debian-12": tuple(self.updates)}
        return FeedContent(as_of=head.as_of, stamp=self.stamp, shards=shards)

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        return updates


class Lag:
    """How long the loop was held by one thing at most."""

    def __init__(self) -> None:
        self.most = 0.0

    async def watch(self) -> None:
        while True:
            start = perf_counter()
            await asyncio.sleep(0.001)
            self.most = max(self.most, perf_counter() - start - 0.001)


async def synchronised(here: Node, feed: Feed, title: str, budget: str) -> None:
    synchronisation = Synchronisation(
        feed=feed,
        reading=here.storage,
        decisions=here.storage,
        publisher=here.catalog,
        details=here.details,
        clock=here.clock,
    )
    lag = Lag()
    watching = asyncio.create_task(lag.watch())
    start = perf_counter()
    made = await synchronisation.run("admin")
    spent = perf_counter() - start
    watching.cancel()
    print(f"synchronise {made.updates:,} updates, {title}\t{spent:.2f} s\t{budget}\t-", flush=True)
    held = f"{lag.most * 1000:.0f} ms"
    print(f"the loop was held meanwhile, {title}\t{held}\t<= 100 ms\t-", flush=True)


async def synchronise(folder: Path) -> None:
    offered = [
        FeedUpdate(
            details=details(number),
            leaves=(replace(a_leaf(1, f"package{number}"), number=UpdateNumber(0)),),
        )
        for number in range(UPDATES)
    ]
    async with node(f"sqlite:///{folder}/synchronised.db", folder / "node") as here:
        feed = Feed(offered)
        await synchronised(here, feed, "first", "<= 30 s")
        await synchronised(here, feed, "again, nothing new", "<= 1 s")
        feed.updates, feed.stamp = [*offered[:-1], offered[0]][: UPDATES - 1], b"second"
        await synchronised(here, feed, "again, one is gone", "<= 10 s")


async def listed(site: Site) -> None:
    """Make as many update lists as there may be, each as long as it may begin."""
    names = [an_update_id(f"package{number}") for number in range(UPDATES)]
    names += names[:LONG]
    now = site.context.clock.now()

    for number in range(LISTS):
        one = StoredList(name=f"list-{number}", note="", by="bench", at=now)
        first = number * (UPDATES // LISTS)

        def work(tx: Transaction, one: StoredList = one, first: int = first) -> None:
            tx.update_lists.add_list(one)
            tx.update_lists.put_on(one.name, names[first : first + LONG])
            tx.note(one.name)

        await site.storage.decide("bench", "lists.create", work, now=now)


async def lists(folder: Path) -> None:
    fleet_answers.UPDATES, fleet_answers.MACHINES = UPDATES, MACHINES
    url = f"sqlite:///{folder}/patchtide.db"
    storage = Storage.open(url)
    site = Site(storage)
    await site.fill()
    for start in range(0, UPDATES, 500):
        part = [details(number) for number in range(start, start + 500)]
        await site.catalog.publish([], details=part)
    start_at = perf_counter()
    await site.ask("overview")
    baseline = plain(url, "SELECT * FROM catalog_update LIMIT 100")()
    first = (perf_counter() - start_at) * 1000
    figure("30,000 updates: the first answer", first, baseline, budget="<= 10000 ms")
    for title, values in (
        ("a page of 100", {}),
        ("superseded ones", {"status": "superseded"}),
        ("searched", {"search": "CVE-2026-29"}),
        ("by risk", {"sort": "risk"}),
    ):
        spent = await measure(site, "updates.list", **values)
        figure(f"30,000 updates: {title}", spent, baseline)
    visitor = await signed_in(site)
    await listed(site)
    for title, name in (("a page of 100", "updates.list"), ("the lists", "lists.list")):
        spent = await measure(site, name)
        figure(f"30,000 updates, 500 lists of 1,000: {title}", spent, baseline)
    for title, path in (
        ("the page", "/updates"),
        ("searched", "/updates?q=CVE-2026-29"),
        ("asked", "/updates?q=severity+%3E%3D+important+and+required+%3E+0&sort=-risk"),
        ("a late page", "/updates?page=300&sort=-released"),
        ("a list of 1,000", "/lists/list-7"),
        ("on one of 500 lists", "/updates?q=list+%3D+list-7"),
        ("500 lists", "/lists"),
    ):
        await visitor.get(path)
        figure(
            f"30,000 updates, console: {title}", await measure_page(site, visitor, path), baseline
        )
    await storage.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="patchtide-bench-") as folder:
        asyncio.run(synchronise(Path(folder)))
        asyncio.run(lists(Path(folder)))


if __name__ == "__main__":
    main()
