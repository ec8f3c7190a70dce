"""New machines are in build until they are compliant or their hours are over, once and for good."""

from __future__ import annotations

from typing import Any

import pytest

from patchtide.adapters.storage import Storage
from patchtide.server.building import BuildWatch
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.decisions import Transaction
from tests.integration.http.plane import AdministratorsPlane
from tests.simulator.agents_plane import MachineUnderTest, PlaneUnderTest, enrolled
from tests.simulator.catalogs import Catalog, a_leaf, a_scan, some_details
from tests.simulator.reports import enrolled as reporting

pytestmark = pytest.mark.anyio


class Site:
    """One storage, asked by administrators and by machines; new machines are in build for a day."""

    def __init__(self, storage: Storage) -> None:
        self.catalog = Catalog(storage)
        self.plane = AdministratorsPlane(storage, catalog=self.catalog)
        self.agents = PlaneUnderTest(storage, clock=self.plane.clock)
        self.storage = storage

    async def ask(self, path: str, method: str = "GET", document: Any = None) -> Any:
        token = await self.plane.token(role="full-administrator")
        answer = await self.plane.ask(method, f"/api/v1{path}", token=token, document=document)
        assert answer.status < 300, answer.body
        return answer.json if answer.status != 204 else None

    async def begin(self, *, hours: int = 24) -> None:
        await self.ask("/settings/agents", "PUT", {"build_h": hours})

    def watch(self) -> BuildWatch:
        context = self.plane.context
        return BuildWatch(
            reading=self.storage,
            fleet=context.fleet,
            decisions=self.storage,
            clock=context.clock,
        )

    async def building(self) -> list[str]:
        await self.watch().step()
        found = (await self.ask("/machines?query=in-build&sort=name"))["items"]
        assert all(one["in_build"] for one in found)
        return [one["name"] for one in found]

    def handed_over(self) -> list[dict[str, object]]:
        entries = self.storage.audit(limit=100)
        return [dict(e.detail) for e in entries if e.operation == "machines.hand-over"]

    async def put_in_build(self, machine: Client) -> None:
        until = int(self.plane.clock.now().timestamp()) + 3600

        def work(tx: Transaction) -> None:
            tx.begin_build([machine.uuid], until=until)
            tx.note(machine.uuid.hex())

        await self.storage.decide("x", "machines.approve", work, now=self.plane.clock.now())

    async def may(self, machine: bytes) -> str:
        return str((await self.ask(f"/machines/{machine.hex()}/permission"))["why"])


@pytest.fixture
async def site(storage: Storage) -> Site:
    return Site(storage)


async def test_a_machine_is_handed_over_when_it_is_compliant_once_and_for_good(site: Site) -> None:
    await site.catalog.publish([a_leaf(1, "openssl")], details=[some_details("openssl")])
    [machine] = await reporting(site.storage, 1)
    await site.put_in_build(machine)

    async def reports(counter: int, **states: list[int]) -> None:
        found = a_scan(machine.number, counter, **states)
        await site.storage.accept([found], now=site.plane.clock.now().timestamp())

    await reports(1, required=[1])
    built, why = await site.building(), await site.may(machine.uuid)
    await reports(2, installed=[1])
    for node in (site.watch(), site.watch()):
        await node.step()
    after = await site.building()
    await reports(3, required=[1])

    assert (built, why, after) == ([machine.name], "in-build", [])
    assert site.handed_over() == [{"name": machine.name, "why": "compliant"}]
    assert (await site.building(), await site.may(machine.uuid)) == ([], "no-windows")


async def test_one_that_is_not_compliant_is_handed_over_when_its_hours_are_over(site: Site) -> None:
    await site.begin()
    machine = await enrolled(site.agents, name="web-1")
    await machine.report(required={1}, scan="completed", scanned_at=1)
    site.agents.clock.advance(hours=23)
    before = await site.building()
    site.agents.clock.advance(hours=1)
    # It ends by itself, whether a node looks or not.
    at_the_hour = await site.may(machine.client)

    assert (before, at_the_hour) == (["web-1"], "no-windows")
    assert await site.building() == []
    assert site.handed_over() == [{"name": "web-1", "why": "hours"}]


async def test_machines_of_before_are_not_in_build_and_what_is_set_later_holds_for_new_ones(
    site: Site,
) -> None:
    await enrolled(site.agents, name="old-1")
    await site.begin(hours=2)
    await enrolled(site.agents, name="new-1")
    await site.begin(hours=0)
    await enrolled(site.agents, name="late-1")

    assert await site.building() == ["new-1"]


async def test_who_waits_for_approval_is_in_build_from_then_on(site: Site) -> None:
    await site.begin()
    uuid = await site.plane.machine("waits-1", ClientState.WAITING)
    waiting = await site.building()
    site.agents.clock.advance(hours=48)
    await site.ask(f"/machines/{uuid}/approve", "POST")

    assert (waiting, await site.building()) == ([], ["waits-1"])


async def test_a_known_machine_that_comes_with_another_key_is_not_in_build(site: Site) -> None:
    known = await enrolled(site.agents, name="db-1")
    retired = await enrolled(site.agents, name="db-2")
    await site.ask(f"/machines/{retired.client.hex()}", "DELETE")
    await site.begin()

    for before in (known, retired):
        again = MachineUnderTest(site.agents, name=before.name)
        again.machine = before.machine  # the same host, whose agent lost its key
        await again.enrol(await site.agents.token())
    waiting = (await site.ask("/machines?state=waiting"))["items"]
    for one in waiting:
        await site.ask(f"/machines/{one['id']}/approve", "POST")
    new = await enrolled(site.agents, name="db-3")

    assert [one["name"] for one in waiting] == ["db-1"]
    assert (await site.building(), new.name) == (["db-3"], "db-3")
