"""What the console and the API ask of a fleet: 1,000 machines, 3,000 updates, on SQLite.

Each figure is one whole operation, its answer encoded; the baseline is one plain query that reads
as many rows from the same database. Before each round one machine reports, as it is in life: the
answer starts with reading that.

Then 100,000 machines and 30,000 updates in memory, in processor time: first while half a second's
750 reports came in before each round, then quiet. And what such a view is written down and read
again in, to go on after a restart.
"""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any
from uuid import UUID

import msgspec
from pyroaring import BitMap
from sqlalchemy import create_engine, text

from benchmarks import reports
from patchtide.adapters.console.machine_rows import FILTERS, FILTERS_THERE
from patchtide.adapters.storage import Storage
from patchtide.domain.access.principals import TokenHolder
from patchtide.domain.access.rights import ROLES
from patchtide.domain.catalog.details import Severity
from patchtide.server import machine_list, overview
from patchtide.server.fleet import JUDGED, SLICE
from patchtide.server.fleet_checkpoint import Checkpoint, read, written
from patchtide.server.followed_view import FollowedView
from patchtide.server.machine_pages import Wanted as WantedMachines
from patchtide.server.machine_pages import choices_of
from patchtide.server.machine_pages import look as look_at_machines
from patchtide.server.operations import OPERATIONS
from patchtide.server.ports.clients import Client
from patchtide.server.ports.following import Cursor
from patchtide.server.table import perform
from patchtide.server.update_machines import sets_of
from patchtide.server.update_pages import Wanted, look
from tests.integration.http.plane import AdministratorsPlane
from tests.simulator.catalogs import Catalog, a_leaf, a_scan, an_update_id, some_details
from tests.simulator.reports import NOON, enrolled

MACHINES, UPDATES, ROUNDS = 1_000, 3_000, 7
STREAM = 750
"""Reports in half a second, of 1,500 a second."""
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


def a_stream(view: FollowedView) -> None:
    """Let 750 machines report ten states that are new, and follow them as a server does."""
    some = []
    for number in DICE.sample(range(1, reports.MACHINES + 1), STREAM):
        states = view.members[number].states
        [shard] = states.shards
        platform = reports.PLATFORMS.index(shard)
        new = BitMap(DICE.sample(range(platform, reports.UPDATES, 4), 10))
        now = replace(states, required=(states.required | new) - states.installed)
        some.append(reports.said(number, now))
    for start in range(0, STREAM, SLICE):
        view.put_rows(some[start : start + SLICE], gathers=True)
        while view.judge_some(JUDGED):
            pass


def cpu(view: FollowedView, ask: Callable[[], object], *, is_streaming: bool) -> float:
    """Return the largest of some rounds, in milliseconds of the processor."""
    found = []
    for _ in range(ROUNDS):
        if is_streaming:
            a_stream(view)
        start = process_time()
        ask()
        found.append(process_time() - start)
    return max(found) * 1000


def at_scale() -> None:
    view = reports.a_view()
    fleet: Any = reports.site(view).fleet
    index = fleet.updates
    update = an_update_id("u15001")
    pages: dict[str, Callable[[], object]] = {
        "overview": lambda: overview.counts(view),
        "machines, a page of 100": lambda: machine_list.found(
            fleet, view, machine_list.ListMachines(sort="required")
        ),
        "machines, searched": lambda: machine_list.found(
            fleet, view, machine_list.ListMachines(search="machine-0999")
        ),
        "machines in the console": lambda: a_page(fleet, view),
        "updates, a page of 50": lambda: look(index, view, Wanted()),
        "one update": lambda: view.held(view.update(update)),
        "its machines in the console": lambda: its_page(fleet, view, update),
    }
    plain = reports.plain()
    for ask in pages.values():
        ask()
    gc.freeze()
    following = cpu(view, lambda: a_stream(view), is_streaming=False)
    title = "100,000 machines: following 750 reports, and judging them"
    figure(title, following, plain, budget="<= 100 ms")
    for title, ask in pages.items():
        streaming = cpu(view, ask, is_streaming=True)
        figure(f"100,000 machines, reports: {title}", streaming, plain, budget="<= 300 ms")
        figure(f"100,000 machines, quiet: {title}", cpu(view, ask, is_streaming=False), plain)
    view.settle()
    kept: list[bytes] = []
    writing = cpu(view, lambda: kept.append(written_down(view)), is_streaming=False)
    figure("100,000 machines: writing the view down", writing, plain, budget="<= 1000 ms")
    gc.disable()  # as a server does that starts
    reading = cpu(view, lambda: read(kept[0]), is_streaming=False)
    gc.enable()
    figure("100,000 machines: reading it again", reading, plain, budget="<= 1500 ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"100,000 machines: memory at most\t{peak:.0f} MB\t<= 2000 MB\t-", flush=True)


def a_page(fleet: Any, view: FollowedView) -> object:
    choices = choices_of(fleet.machines, view, *FILTERS)
    among = BitMap(view.members)
    return look_at_machines(
        fleet, view, WantedMachines(sort="reported"), among=among, choices=choices
    )


def its_page(fleet: Any, view: FollowedView, update: UUID) -> object:
    held = sets_of(view.held(view.update(update)))
    states = {state.value: some for state, some in held.items()}
    choices = {"state": states, **choices_of(fleet.machines, view, *FILTERS_THERE)}
    wanted = WantedMachines(sort="state")
    return look_at_machines(fleet, view, wanted, among=view.active, choices=choices)


def written_down(view: FollowedView) -> bytes:
    start = Cursor(epoch="", n=0)
    checkpoint = Checkpoint(
        reported=start,
        decided=start,
        listened=NOON,
        lineage=view.lineage,
        members=view.members,
        index=view.index.copied(),
        cut=view.cut,
        restarting=view.restarting,
        heard_at=view.heard_at,
        spoken=view.spoken,
        habits=view.habits,
    )
    return b"".join(written(checkpoint))


def main() -> None:
    at_scale()
    with tempfile.TemporaryDirectory(prefix="patchtide-bench-") as folder:
        asyncio.run(run(Path(folder)))


if __name__ == "__main__":
    main()
