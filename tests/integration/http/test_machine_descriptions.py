"""What people say of machines: kept, told, asked for, and counted in the risk of updates there."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.catalog.details import Severity
from patchtide.domain.collections.definitions import Definition
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.decisions import Transaction
from patchtide.wire.inventory import FactsV1, HardwareV1, hardware, package_list
from patchtide.wire.messages import encode
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

    async def tell(self, machine: int, kind: str, body: bytes) -> None:
        digest = sha256(body).digest()
        await self.storage.put_inventory(machine, kind=kind, digest=digest, body=body, now=1.0)

    async def collection(self, name: str) -> UUID:
        made = StoredCollection(
            definition=Definition(id=UUID(int=5), name=name),
            revision=1,
            by="x",
            at=self.plane.clock.now(),
        )

        def work(tx: Transaction) -> None:
            tx.collections.add(made)
            tx.note(made.id.hex)

        await self.storage.decide("x", "collections.change", work, now=made.at)
        return made.id

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
    assert (first.json["machines"], first.json["changed"]) == (2, 2)
    assert (shown["owner"], shown["roles"]) == ("Others", ["cache", "web"])
    assert (shown["exposure"], shown["location"]) == ("perimeter", "Cellar 3")
    assert await site.named("owner=web%20TEAM") == ["web-0"]
    assert await site.named("role=cache") == ["web-0", "web-1"]
    assert await site.named("exposure=ordinary") == ["web-2"]
    assert await site.named("location=cellar%203") == await site.named("search=cellar") == ["web-1"]


async def test_machines_are_asked_for_by_what_they_told_of_themselves(site: Site) -> None:
    await site.get("/machines?query=restart")  # so that what comes now is followed
    for number, version in enumerate(("3.0.9-1", "3.0.11-1"), start=1):
        await site.tell(number, "facts", encode(FactsV1(os_id="debian", package_formats=("deb",))))
        await site.tell(number, "packages", package_list([("openssl", version, "amd64")]))
    await site.tell(2, "hardware", hardware(HardwareV1(addresses=("10.1.2.3",))))
    await site.say(0, owner="Web team")

    asked = quote('package(openssl) < 3.0.11 and owner = "web team"')
    offered = (await site.get("/machine-query-completions?text=package("))["items"]
    wrong = await site.get(f"/machines?query={quote('package(openssl) <> 3')}")

    assert await site.named(f"query={asked}") == ["web-0"]
    assert await site.named(f"query={quote('address = 10.1.0.0/16')}") == ["web-1"]
    assert await site.named(f"query={quote('not package(openssl)')}") == ["web-2"]
    assert [one["text"] for one in offered] == ["openssl"]
    assert (wrong["code"], wrong["problems"][0]["where"]) == ("invalid-query", "line 1, column 18")


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


async def test_a_dry_run_tells_what_would_change_and_changes_nothing(site: Site) -> None:
    await site.say(0, tag=["a", "b"], business=0, cluster="front")
    dry = await site.say(
        0, 1, add_tag=["c"], remove_tag=["a"], business=5, cluster="front", dry_run=True
    )
    unchanged = (await site.get(f"/machines/{site.machines[0]}"))["tags"]

    told = [(c["name"], c["attribute"], c["was"], c["now"]) for c in dry.json["changes"]]
    assert (dry.json["machines"], dry.json["changed"], unchanged) == (2, 2, ["a", "b"])
    assert told == [
        ("web-0", "tags", "a b", "b c"),
        ("web-0", "business", "0", "5"),
        ("web-1", "cluster", "", "front"),
        ("web-1", "tags", "", "c"),
        ("web-1", "business", "", "5"),
    ]


async def test_who_said_what_before_is_kept_and_what_changes_nothing_leaves_no_entry(
    site: Site,
) -> None:
    schedule = str(await site.collection("Night"))
    await site.say(0, schedule=schedule, restart="script", downtime=4, distance=1)
    await site.say(0, restart="none", downtime=4)
    again = await site.say(0, restart="none")
    await site.say(0, forget=["schedule"])

    shown = await site.get(f"/machines/{site.machines[0]}")
    items = (await site.get(f"/machines/{site.machines[0]}/attribute-changes"))["items"]
    assert (shown["criticality"], shown["downtime"], shown["business"]) == (5, 4, None)
    assert (shown["schedule"], shown["restart"], again.json["changed"]) == (None, "none", 0)
    assert [(c["attribute"], c["was"], c["now"]) for c in items] == [
        ("schedule", schedule, ""),
        ("restart", "script", "none"),
        ("downtime", "", "4"),
        ("distance", "", "1"),
        ("schedule", "", schedule),
        ("restart", "", "script"),
    ]
    assert all(c["actor"].startswith("api-token:") for c in items)


async def test_machines_are_asked_for_by_what_people_say_and_a_schedule_cannot_be_deleted(
    site: Site,
) -> None:
    await site.get("/machines?query=tag=b")  # so that what comes now is followed
    night = str(await site.collection("Night"))
    await site.say(0, 1, schedule=night, tag=["a", "b"], management_group="ops", cluster="front")
    await site.say(1, restart="none", business=5, downtime=2, remove_tag=["b"])
    await site.storage.decide(
        "x",
        "machines.decommission",
        lambda tx: tx.set_client_state([site.machines[1].bytes], ClientState.DECOMMISSIONED),
        now=site.plane.clock.now(),
    )
    token = await site.plane.token(role="full-administrator")

    async def delete() -> Answer:
        return await site.plane.ask("DELETE", f"/api/v1/collections/{night}", token=token)

    refused = await delete()
    asked = (
        "tag = b", f'schedule = "{night}"', 'schedule = ""', "management-group = ops",
        'not cluster = ""', "criticality >= 7", "restart-code = unsaid", "criticality != 7",
        'tag in (a, "")', 'role != ""',
    )  # fmt: skip
    found = [await site.named(f"query={quote(one)}") for one in asked]
    await site.say(2, owner="ops")
    await site.say(0, restart="script")
    windowless = await site.get("/reports/undescribed?state=no-window")
    made = await site.plane.ask(
        "POST",
        f"/api/v1/collections/{night}/windows",
        token=token,
        document={"name": "n", "comes": "days", "at": "22:00"},
    )
    report = await site.get("/reports/undescribed")
    unowned = await site.get("/reports/undescribed?state=no-owner")
    summary = await site.get("/reports/overall?by=management-group&sort=management-group")
    await site.say(0, forget=["schedule"])
    await site.plane.ask("DELETE", f"/api/v1/windows/{made.json['id']}", token=token)

    lacking = [one["cells"] for one in report["items"]]
    groups = [one["cells"] for one in summary["items"]]
    assert [one["cells"]["name"] for one in unowned["items"]] == ["web-0"]
    columns = ("name", "owner", "schedule", "management_group", "restart")
    assert [tuple(one[column] for column in columns) for one in lacking] == [
        ("web-0", "", "valid", "ops", "script"),
        ("web-2", "ops", "none", "", ""),
    ]
    assert {one["key"]: one["count"] for one in report["figures"]} == {
        "no-owner": 1,
        "no-schedule": 1,
        "no-window": 0,
        "no-management-group": 1,
        "no-restart-code": 1,
    }
    said = [(one["cells"]["name"], one["cells"]["schedule"]) for one in windowless["items"]]
    assert said == [("web-0", "no-window")]
    assert [(one["management-group"], one["members"]) for one in groups] == [("", 1), ("ops", 1)]
    assert refused.status == 409
    assert refused.json["detail"] == "Night is in use: it is the schedule of 1 machine"
    one, two, rest, others = ["web-0"], ["web-0", "web-1"], ["web-2"], ["web-0", "web-2"]
    every = ["web-0", "web-1", "web-2"]
    assert found == [one, two, rest, two, two, ["web-1"], others, others, every, []]
    assert (await delete()).status == 204


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
    assert (await site.say(0, business=6)).status == 400
    assert (await site.say(0, schedule=str(UUID(int=9)))).status == 400
    many = [f"t{n}" for n in range(16)]
    await site.say(0, tag=many)
    assert (await site.say(0, add_tag=["one-more"])).status == 409
    assert (await site.say(0, role=["Not A Role"])).status == 400
    assert (await site.say(0, 2, owner="a")).status == 409
