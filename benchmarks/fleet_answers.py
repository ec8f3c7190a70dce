"""What the console and the API ask of a fleet: 1,000 machines, 3,000 updates, on SQLite.

Each figure is one whole operation, its answer encoded; the baseline is one plain query that reads
as many rows from the same database. Before each round one machine reports, as it is in life: the
answer starts with reading that.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import create_engine, text

from patchtide.adapters.storage import Storage
from patchtide.domain.access.principals import TokenHolder
from patchtide.domain.access.rights import ROLES
from patchtide.domain.catalog.details import Severity
from patchtide.server.operations import OPERATIONS
from patchtide.server.ports.clients import Client
from patchtide.server.table import perform
from tests.integration.http.plane import AdministratorsPlane
from tests.simulator.catalogs import Catalog, a_leaf, a_scan, an_update_id, some_details
from tests.simulator.reports import NOON, enrolled

MACHINES, UPDATES, ROUNDS = 1_000, 3_000, 7
DICE = random.Random(20260302)
SEVERITIES = list(Severity)
HOLDER = TokenHolder(
    token_id="0" * 12, name="bench", rights=ROLES["full-administrator"], expires_at=None
)


class Site:
    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.clients: list[Client] = []
        self.counter = 1
        self.catalog = Catalog(storage)
        self.plane = AdministratorsPlane(storage=storage, catalog=self.catalog)
        self.context = self.plane.context

    async def fill(self) -> None:
        names = [f"package{number}" for number in range(UPDATES)]
        for start in range(0, UPDATES, 100):
            part = range(start, start + 100)
            await self.catalog.publish(
                [a_leaf(number, names[number]) for number in part],
                details=[
                    some_details(
                        names[number],
                        severity=DICE.choice(SEVERITIES),
                        cves=(f"CVE-2026-{number}",),
                    )
                    for number in part
                ],
            )
        self.clients = await enrolled(self.storage, MACHINES)
        for client in self.clients:
            await self.report(client)

    async def report(self, client: Client) -> None:
        self.counter += 1
        here = DICE.sample(range(UPDATES), 500)
        scan = a_scan(
            client.number,
            self.counter,
            serial=self.catalog.serial - (client.number % 50 == 0),
            required=here[:60],
            installed=here[60:],
        )
        await self.storage.accept([scan], now=NOON.timestamp())

    async def ask(self, name: str, **values: Any) -> bytes:
        operation = OPERATIONS[name]
        answer = await perform(
            self.context, operation, principal=HOLDER, asked=operation.input(**values)
        )
        return msgspec.json.encode(answer)


async def measure(site: Site, name: str, **values: Any) -> float:
    """Return the median of some rounds, in milliseconds."""
    found = []
    for number in range(ROUNDS):
        await site.report(site.clients[number])
        start = perf_counter()
        await site.ask(name, **values)
        found.append(perf_counter() - start)
    return sorted(found)[ROUNDS // 2] * 1000


def plain(url: str, query: str) -> Callable[[], float]:
    engine = create_engine(url)

    def ask() -> float:
        with engine.connect() as connection:
            start = perf_counter()
            msgspec.json.encode([str(row) for row in connection.execute(text(query))])
            return (perf_counter() - start) * 1000

    return lambda: sorted(ask() for _ in range(ROUNDS))[ROUNDS // 2]


def figure(title: str, measured: float, baseline: float, *, budget: str = "<= 100 ms") -> None:
    print(f"{title}\t{measured:.1f} ms\t{budget}\t{baseline:.1f} ms", flush=True)


async def run(folder: Path) -> None:
    url = f"sqlite:///{folder}/patchtide.db"
    storage = Storage.open(url)
    site = Site(storage)
    await site.fill()
    machines = plain(url, "SELECT * FROM client JOIN client_state ON client = number LIMIT 100")()
    updates = plain(url, "SELECT * FROM catalog_update LIMIT 100")()
    one = plain(url, "SELECT * FROM client JOIN client_state ON client = number LIMIT 1")()
    start = perf_counter()
    await site.ask("overview")
    first = (perf_counter() - start) * 1000
    figure("the first answer, everything read", first, machines, budget="<= 3000 ms")
    machine = UUID(bytes=site.clients[500].uuid)
    update = an_update_id("package1500")
    for title, baseline, name, values in (
        ("overview", machines, "overview", {}),
        ("machines, a page of 100", machines, "machines.list", {"sort": "required"}),
        ("machines, searched", machines, "machines.list", {"search": "web-99"}),
        ("one machine", one, "machines.show", {"machine": machine}),
        ("its updates", updates, "machines.updates", {"machine": machine}),
        ("its history", one, "machines.history", {"machine": machine}),
        ("updates, a page of 100", updates, "updates.list", {}),
        ("updates, searched", updates, "updates.list", {"search": "CVE-2026-29"}),
        ("one update", one, "updates.show", {"update": update}),
        ("its machines", machines, "updates.machines", {"update": update}),
    ):
        figure(title, await measure(site, name, **values), baseline)
    await site.catalog.publish([a_leaf(UPDATES, "newest")])
    start = perf_counter()
    site.context.fleet.keep_up()
    counting = (perf_counter() - start) * 1000
    figure("counting anew after a publication", counting, machines, budget="<= 1000 ms")
    start = perf_counter()
    await site.ask("overview")
    figure("overview after a publication", (perf_counter() - start) * 1000, machines)
    await storage.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="patchtide-bench-") as folder:
        asyncio.run(run(Path(folder)))


if __name__ == "__main__":
    main()
