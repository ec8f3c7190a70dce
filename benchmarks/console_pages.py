"""The console's pages over a fleet: 1,000 machines, 3,000 updates, on SQLite.

Each figure is one whole page as a browser gets it: session, rights, rows, template. The baseline
is the sign-in page, which asks the fleet nothing. Before each round one machine reports, so no
page is answered from what was kept.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from time import perf_counter
from uuid import UUID

from benchmarks.fleet_answers import ROUNDS, Site, figure
from patchtide.adapters.storage import Storage
from patchtide.domain.access.rights import ROLES
from patchtide.server.users import new_user
from tests.integration.console.visitor import PASSWORD, Visitor
from tests.simulator.catalogs import an_update_id


async def signed_in(site: Site) -> Visitor:
    context, now = site.context, site.context.clock.now()
    user = new_user(
        "bench",
        rights=ROLES["full-administrator"],
        password_hash=await context.passwords.hashed(PASSWORD, name="bench"),
        now=now,
        by="bench",
    )
    await site.storage.decide("bench", "users.create", lambda tx: tx.add_user(user), now=now)
    visitor = Visitor(site.plane)
    await visitor.sign_in("bench")
    return visitor


async def measure(site: Site, visitor: Visitor, path: str) -> float:
    """Return the median of some rounds, in milliseconds."""
    found = []
    for number in range(ROUNDS):
        await site.report(site.clients[number])
        start = perf_counter()
        answer = await visitor.get(path)
        found.append(perf_counter() - start)
        if answer.status != 200:
            raise LookupError(f"{path} answered {answer.status}")
    return sorted(found)[ROUNDS // 2] * 1000


async def run(folder: Path) -> None:
    storage = Storage.open(f"sqlite:///{folder}/patchtide.db")
    site = Site(storage)
    await site.fill()
    baseline = await measure(site, Visitor(site.plane), "/sign-in")
    visitor = await signed_in(site)
    await visitor.get("/")
    machine, update = UUID(bytes=site.clients[500].uuid), an_update_id("package1500")
    for title, path in (
        ("overview", "/"),
        ("machines", "/machines"),
        ("machines, searched and sorted", "/machines?q=web-9&sort=-required"),
        ("one machine", f"/machines/{machine}"),
        ("its history", f"/machines/{machine}?tab=history"),
        ("updates", "/updates"),
        ("updates, searched", "/updates?q=CVE-2026-29&sort=-severity"),
        ("one update", f"/updates/{update}"),
        ("audit", "/audit"),
        ("whether anything moved", "/live"),
    ):
        figure(f"console: {title}", await measure(site, visitor, path), baseline)
    await storage.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="patchtide-bench-") as folder:
        asyncio.run(run(Path(folder)))


if __name__ == "__main__":
    main()
