"""The health of machines: one is looked at and repaired, and all that ail stand in a report."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from patchtide.adapters.storage import Storage
from patchtide.server.listening import EVERY
from patchtide.server.ports.clients import ClientState
from patchtide.wire.inventory import package_list
from patchtide.wire.messages import HealthV1
from tests.integration.http.plane import AdministratorsPlane, Answer
from tests.simulator.agents_plane import MachineUnderTest, PlaneUnderTest, enrolled

pytestmark = pytest.mark.anyio
OTHER = "Speaks of another catalog"
"""The one that machines here speak of: what is published here has another lineage."""


class Site:
    """One storage, asked by administrators and by machines."""

    def __init__(self, storage: Storage) -> None:
        self.plane = AdministratorsPlane(storage)
        self.agents = PlaneUnderTest(storage, clock=self.plane.clock)
        self.storage = storage

    async def ask(self, path: str, method: str = "GET", document: Any = None) -> Answer:
        token = await self.plane.token(role="full-administrator")
        return await self.plane.ask(method, f"/api/v1{path}", token=token, document=document)

    async def comes(self, name: str, **health: Any) -> MachineUnderTest:
        """A machine enrols, checks in and reports."""
        machine = await enrolled(self.agents, name=name)
        await machine.check_in(health=HealthV1(boot_id="boot-1", **health), settings=b"")
        await machine.report(required={1}, scan="completed", scanned_at=1)
        await self.storage.flush_presence(self.agents.standings.unsaved())
        self.agents.clock.advance(seconds=2 * EVERY.seconds)
        return machine

    async def ailing(self, query: str = "") -> dict[str, list[str]]:
        answer = await self.ask(f"/reports/health{query}")
        assert answer.status == 200, answer.json
        return {row["cells"]["name"]: row["cells"]["ails"] for row in answer.json["items"]}


@pytest.fixture
async def site(storage: Storage) -> Site:
    return Site(storage)


async def test_who_ails_stands_in_the_report_with_what_it_is(site: Site) -> None:
    await site.comes("well-1")
    await site.comes("off-1", faults=("clock", "unattended-upgrades"))
    await enrolled(site.agents, name="never-1")
    await site.plane.machine("waits-1", ClientState.WAITING)
    at_once = await site.ailing()
    by_query = await site.ask("/machines?query=fault%20%3D%20clock")
    one = await site.ailing("?state=clock")
    site.agents.clock.advance(hours=25)
    later = await site.ailing()
    file = await site.ask("/reports/health/csv")

    assert at_once == {
        "never-1": ["Enrolled, never checked in"],
        "off-1": [OTHER, "Clock off", "Others install updates, too"],
        "well-1": [OTHER],
    }
    assert [one["name"] for one in by_query.json["items"]] == ["off-1"]
    assert one.keys() == {"off-1"}
    assert later["waits-1"] == ["Waits for approval too long"]
    assert "Not heard of late" in later["well-1"]
    assert len(list(csv.DictReader(io.StringIO(file.body.decode(), newline="")))) == len(later)


async def test_a_share_of_who_ails_is_of_members_and_who_is_none_has_none(site: Site) -> None:
    await site.comes("well-1")
    await site.comes("off-1", faults=("clock",))
    await site.plane.machine("waits-1", ClientState.WAITING)
    site.agents.clock.advance(hours=25)
    report = (await site.ask("/reports/health")).json

    figures = {x["key"]: (x["count"], x["of"], x["among"], x["share"]) for x in report["figures"]}
    assert report["members"] == 2
    assert figures["clock"] == (1, 2, "all members", 50.0)
    assert figures["waiting"] == (1, None, "", None)


async def test_a_look_at_a_machine_says_what_to_do_and_a_repair_asks_for_it(site: Site) -> None:
    machine = await enrolled(site.agents, name="web-1")
    await machine.check_in(health=HealthV1(boot_id="boot-1"))
    await site.storage.flush_presence(site.agents.standings.unsaved())
    [client] = site.storage.clients(limit=1)
    path = f"/machines/{client.uuid.hex()}"

    found = (await site.ask(f"{path}/doctor")).json
    repaired = await site.ask(f"{path}/repair", "POST")
    again = await site.ask(f"{path}/repair", "POST")

    wrong = {one["check"]: one["repair"] for one in found["items"] if one["level"] == "wrong"}
    assert wrong == {"report": "full-report", "scan": "scan"}
    [owed] = site.storage.clients(limit=1)
    assert (repaired.status, owed.full_report, bool(owed.scan_wanted)) == (200, True, True)
    assert again.status == 409


async def test_a_site_says_from_when_on_a_machine_ails(site: Site) -> None:
    await site.plane.machine("waits-1", ClientState.WAITING)
    await site.comes("old-1", agent_version="0.1.0")
    path = "/settings/health"
    before = await site.ailing("?state=old-agent")
    answer = await site.ask(path, "PUT", {"waiting_h": 0, "oldest_agent": "0.2.0"})
    wrong = await site.ask(path, "PUT", {"oldest_agent": "newest"})

    assert before == {}
    assert (answer.json, wrong.status) == ({"waiting_h": 0, "oldest_agent": "0.2.0"}, 400)
    assert (await site.ailing("?state=old-agent")).keys() == {"old-1"}
    assert (await site.ailing("?state=waiting")).keys() == {"waits-1"}


async def test_who_is_held_back_ails_from_nothing_and_can_be_asked_for(site: Site) -> None:
    await site.comes("held-1", taken_over=("unattended-upgrades",))
    await site.comes("free-1", faults=("unattended-upgrades",))
    [held] = (await site.ask("/machines?query=taken-over%20%3D%20unattended-upgrades")).json[
        "items"
    ]
    shown = (await site.ask(f"/machines/{held['id']}")).json
    found = (await site.ask(f"/machines/{held['id']}/doctor")).json["items"]

    assert held["name"] == "held-1"
    assert shown["taken_over"] == ["unattended-upgrades"]
    assert [one["level"] for one in found if one["check"] == "updaters"] == ["fine"]
    assert await site.ailing() == {
        "held-1": [OTHER],
        "free-1": [OTHER, "Others install updates, too"],
    }


async def test_it_is_told_when_a_machine_last_came_with_its_settings(site: Site) -> None:
    """One that does not take newer ones is heard, and stands there with when it did last."""
    machine = await site.comes("web-1")
    then = site.agents.clock.now()
    taken = then - 2 * EVERY
    await site.ask("/settings/agents", "PUT", {"scan_every_h": 5})
    site.agents.told.load(site.storage, then)  # as another node finds it a second later
    site.agents.clock.advance(hours=4)
    await machine.check_in(settings=b"")
    await site.storage.flush_presence(site.agents.standings.unsaved())
    site.agents.clock.advance(seconds=2 * EVERY.seconds)

    [row] = (await site.ask("/reports/health")).json["items"]
    file = (await site.ask("/reports/health/csv")).body.decode()
    [shown] = (await site.ask("/machines")).json["items"]
    found = (await site.ask(f"/machines/{shown['id']}/doctor")).json["items"]

    assert datetime.fromisoformat(row["cells"]["policy_at"]) == taken
    assert datetime.fromisoformat(row["cells"]["heard_at"]) > taken + timedelta(hours=3)
    assert [one["level"] for one in found if one["check"] == "policy"] == ["wrong"]
    [line] = csv.DictReader(io.StringIO(file, newline=""))
    assert line["policy_at"].startswith(f"{taken:%Y-%m-%d}"), line


async def test_who_never_came_or_never_told_its_packages_is_missing_from_inventory(
    site: Site,
) -> None:
    await site.comes("told-1")
    [told] = site.storage.clients()
    body = package_list([("openssl", "3.0.2-1", "amd64")])
    at = site.agents.clock.now().timestamp()
    digest = sha256(body).digest()
    await site.storage.put_inventory(told.number, kind="packages", digest=digest, body=body, now=at)
    await site.comes("mute-1")
    named = {"csv": "name,location\nexpected-1,Bern\n", "expect": True}
    assert (await site.ask("/machine-imports", "POST", named)).status < 300
    bern = {"name": "Bern", "query": "location = Bern"}
    made = (await site.ask("/collections", "POST", bern)).json
    missing = "Missing from inventory"
    at_once = await site.ailing("?state=missing")
    site.agents.clock.advance(hours=25)
    later = await site.ailing("?state=missing")
    inside = await site.ailing(f"?state=missing&collection={made['id']}")

    assert at_once == {} and later.keys() == {"expected-1", "mute-1"}
    assert inside == {"expected-1": ["Expected, never enrolled", missing]}
    assert missing in later["mute-1"]
