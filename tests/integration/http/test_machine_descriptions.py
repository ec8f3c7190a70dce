"""What people say of machines: kept, told, asked for, and counted in the risk of updates there."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.catalog.details import Severity
from patchtide.server.ports.clients import ClientState
from tests.integration.http.plane import AdministratorsPlane, Answer
from tests.simulator.catalogs import Catalog, a_leaf, a_scan, an_update_id, some_details
from tests.simulator.reports import enrolled

pytestmark = pytest.mark.anyio
PATH = "/api/v1/machine-descriptions"


class Site:
    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.plane = AdministratorsPlane(storage=storage, catalog=Catalog(storage))
        self.machines: list[UUID] = []

    async def say(self, *places: int, **said: object) -> Answer:
        document = {"machines": [str(self.machines[place]) for place in places], **said}
        token = await self.plane.token(role="help-desk")
        return await self.plane.ask("POST", PATH, token=token, document=document)

    async def get(self, path: str) -> Any:
        token = await self.plane.token(role="auditor")
        return (await self.plane.ask("GET", f"/api/v1{path}", token=token)).json

    async def named(self, query: str) -> list[str]:
        return [m["name"] for m in (await self.get(f"/machines?{query}"))["items"]]


@pytest.fixture
async def site(storage: Storage) -> Site:
    made = Site(storage)
    clients = await enrolled(storage, 3)
    made.machines = [UUID(bytes=client.uuid) for client in clients]
    catalog = Catalog(storage)
    told = [some_details("openssl", severity=Severity.IMPORTANT)]
    await catalog.publish([a_leaf(1, "openssl")], details=told)
    made.plane = AdministratorsPlane(storage=storage, catalog=catalog)
    report = a_scan(clients[0].number, 1, required=[1])
    await storage.accept([report], now=made.plane.clock.now().timestamp())
    return made


async def test_what_is_said_is_told_and_found_by_and_the_rest_stays(site: Site) -> None:
    await site.get("/machines")  # so that the view follows, and does not begin anew
    first = await site.say(
        0, 1, owner=" Web team ", role=["web", "cache", "web"], exposure="perimeter"
    )
    await site.say(1, owner="Others", location="Cellar 3")

    shown = await site.get(f"/machines/{site.machines[1]}")
    assert first.json == {"machines": 2}
    assert (shown["owner"], shown["roles"]) == ("Others", ["cache", "web"])
    assert (shown["exposure"], shown["location"]) == ("perimeter", "Cellar 3")
    assert await site.named("owner=web%20TEAM") == ["web-0"]
    assert await site.named("role=cache") == ["web-0", "web-1"]
    assert await site.named("exposure=ordinary") == ["web-2"]
    assert await site.named("location=cellar%203") == await site.named("search=cellar") == ["web-1"]


async def test_what_is_forgotten_is_as_if_nobody_had_said_it(site: Site) -> None:
    await site.say(0, owner="a", role=["b"], exposure="critical", location="c")
    await site.say(0, forget=["owner", "roles", "exposure", "location"])

    shown = await site.get(f"/machines/{site.machines[0]}")

    assert (shown["owner"], shown["roles"], shown["location"]) == ("", [], "")
    assert shown["exposure"] == "ordinary"


async def test_an_updates_risk_on_a_machine_goes_by_where_it_stands(site: Site) -> None:
    async def risks() -> tuple[str, str]:
        [on] = (await site.get(f"/machines/{site.machines[0]}/updates"))["items"]
        found = await site.get(f"/updates/{an_update_id('openssl')}/machines?search=web-0")
        return on["risk"], found["items"][0]["risk"]

    before = await risks()
    await site.say(0, exposure="perimeter")

    assert (before, await risks()) == (("high", "high"), ("emergency", "emergency"))


async def test_each_machine_has_its_entry_and_one_that_is_not_there_stops_all(site: Site) -> None:
    await site.say(0, 1, owner="a", role=["b"])
    absent = UUID(int=7)
    site.machines.append(absent)
    refused = await site.say(0, 3, owner="z")

    entries = [e for e in site.storage.audit(limit=100) if e.operation == "machines.describe"]
    assert [(e.subject, e.detail) for e in entries] == [
        (site.machines[place].hex, {"name": f"web-{place}", "owner": "a", "roles": "b"})
        for place in (0, 1)
    ]
    assert refused.status == 404
    assert (await site.get(f"/machines/{site.machines[0]}"))["owner"] == "a"


async def test_nothing_said_the_same_taken_back_and_a_retired_machine_are_refused(
    site: Site,
) -> None:
    await site.storage.decide(
        "x",
        "machines.decommission",
        lambda tx: tx.set_client_state([site.machines[2].bytes], ClientState.DECOMMISSIONED),
        now=site.plane.clock.now(),
    )

    assert (await site.say(0)).status == 400
    assert (await site.say(0, owner="a", forget=["owner"])).status == 400
    for line in ("two\nlines", "two\u2028lines", "a\u202egnp.exe", "a\u2066b", "\x85"):
        assert (await site.say(0, owner=line)).status == 400
        assert (await site.say(0, location=line)).status == 400
    assert (await site.say(0, owner="  ", role=["web"])).status == 400
    assert (await site.say(0, role=["Not A Role"])).status == 400
    assert (await site.say(0, 2, owner="a")).status == 409
