"""Scans that people ask for: kept until the machine tells of them, and told how they stand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from patchtide.adapters.storage import Storage
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.reports import Presence
from tests.integration.http.plane import AdministratorsPlane, Answer
from tests.simulator.catalogs import Catalog, a_leaf, a_scan, some_details
from tests.simulator.reports import enrolled

pytestmark = pytest.mark.anyio


class Site:
    """Three machines: the first needs openssl, the second has it, the third never reported."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.catalog = Catalog(storage)
        self.plane = AdministratorsPlane(storage=storage, catalog=self.catalog)

    async def begin(self) -> None:
        await self.catalog.publish([a_leaf(1, "openssl")], details=[some_details("openssl")])
        self.clients = await enrolled(self.storage, 3)
        await self.report(0, 1, required=[1])
        await self.report(1, 1, installed=[1])

    async def report(
        self, place: int, counter: int, scan_for: int = 0, **states: list[int]
    ) -> None:
        report = replace(a_scan(self.clients[place].number, counter, **states), scan_for=scan_for)
        await self.storage.accept([report], now=self.plane.clock.now().timestamp())

    async def ask(self, path: str, **document: object) -> Answer:
        token = await self.plane.token(role="help-desk")
        return await self.plane.ask("POST", f"/api/v1{path}", token=token, document=document)

    async def scan_of(self, place: int) -> str:
        token = await self.plane.token(role="auditor")
        path = f"/api/v1/machines/{UUID(bytes=self.clients[place].uuid)}"
        shown = (await self.plane.ask("GET", path, token=token)).json
        return str(shown["scan"])

    def wanted(self) -> list[int]:
        known = self.storage.clients_of([client.uuid for client in self.clients])
        return [c.scan_wanted for c in sorted(known, key=lambda c: c.name)]


@pytest.fixture
async def site(storage: Storage) -> Site:
    made = Site(storage)
    await made.begin()
    return made


async def test_it_is_asked_for_runs_and_is_completed_when_the_machine_tells_of_it(
    site: Site,
) -> None:
    first, clock = site.clients[0], site.plane.clock
    clock.advance(seconds=60)
    answer = await site.ask("/scans", machines=[str(UUID(bytes=first.uuid))])
    stands = [await site.scan_of(0)]
    clock.advance(seconds=5)
    seen = Presence(client=first.number, counter=1, seen_at=clock.now().timestamp())
    await site.storage.flush_presence([seen])
    stands.append(await site.scan_of(0))
    await site.report(0, 2, scan_for=site.wanted()[0], required=[1])
    stands.append(await site.scan_of(0))

    assert (answer.status, answer.json) == (202, {"machines": 1})
    assert first.uuid in site.plane.changed
    assert stands == ["asked", "running", "completed"]
    assert site.wanted() == [0, 0, 0]


async def test_a_report_of_another_scan_leaves_it_owed(site: Site) -> None:
    await site.ask("/scans", machines=[str(UUID(bytes=site.clients[0].uuid))])
    owed = site.wanted()[0]
    await site.report(0, 2, required=[1])
    await site.report(0, 3, scan_for=owed - 1, required=[1])

    assert site.wanted() == [owed, 0, 0]


async def test_a_lists_machines_are_those_that_need_an_update_of_it_or_may(site: Site) -> None:
    admin = await site.plane.token(role="full-administrator")
    made = {"name": "october", "query": "openssl"}
    await site.plane.ask("POST", "/api/v1/lists", token=admin, document=made)

    answer = await site.ask("/lists/october/scans")
    entries = [e for e in site.storage.audit(limit=100) if e.operation == "lists.scan"]

    assert answer.json == {"machines": 2, "left_out": 0}
    assert [bool(one) for one in site.wanted()] == [True, False, True]
    assert [(e.subject, e.detail) for e in entries] == [("october", {"machines": 2})]
    assert (await site.ask("/lists/nowhere/scans")).status == 404


async def test_of_a_lists_machines_those_of_tier_zero_are_left_out(site: Site) -> None:
    admin = await site.plane.token(role="full-administrator")
    zero = str(UUID(bytes=site.clients[0].uuid))
    for path, made in (
        ("lists", {"name": "october", "query": "openssl"}),
        ("collections", {"name": "Tier 0", "names": [zero], "tier_zero": True}),
    ):
        await site.plane.ask("POST", f"/api/v1/{path}", token=admin, document=made)

    answer = await site.ask("/lists/october/scans")

    assert answer.json == {"machines": 1, "left_out": 1}
    assert [bool(one) for one in site.wanted()] == [False, False, True]


async def test_a_list_of_many_is_asked_in_parts_and_the_audit_trail_tells_when_all_were(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patchtide.server.machine_scans.MOST", 1)
    admin = await site.plane.token(role="full-administrator")
    made = {"name": "october", "query": "openssl"}
    await site.plane.ask("POST", "/api/v1/lists", token=admin, document=made)

    await site.ask("/lists/october/scans")
    details = [e.detail for e in site.storage.audit(limit=100) if e.operation == "lists.scan"]
    details.sort(key=lambda detail: int(str(detail["asked"])))

    assert [bool(one) for one in site.wanted()] == [True, False, True]
    assert details == [{"machines": 2, "asked": 1}, {"machines": 2, "asked": 2}]


async def test_of_machines_one_that_is_shut_out_or_not_there_stops_all(site: Site) -> None:
    uuids = [client.uuid for client in site.clients]
    await site.storage.decide(
        "x",
        "machines.quarantine",
        lambda tx: tx.set_client_state([uuids[2]], ClientState.QUARANTINED),
        now=site.plane.clock.now() + timedelta(seconds=1),
    )

    both = await site.ask("/scans", machines=[str(UUID(bytes=u)) for u in (uuids[0], uuids[2])])
    absent = await site.ask("/scans", machines=[str(UUID(bytes=uuids[0])), str(UUID(int=1))])

    assert (both.status, absent.status, site.wanted()) == (409, 404, [0, 0, 0])
