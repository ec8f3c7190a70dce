"""Scans that people ask for: kept until the machine tells of them, and told how they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.domain.errors import Unavailable
from patchtide.server.called import called_in, collections_called_in
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.following import DecisionEvent
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
        self.start = self.storage.epoch()
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

    async def make(self, name: str, *places: int) -> str:
        """Return a new collection of these machines."""
        document = {"name": name, "names": [self.clients[n].name for n in places]}
        token = await self.plane.token(role="full-administrator")
        made = await self.plane.ask("POST", "/api/v1/collections", token=token, document=document)
        return str(made.json["id"])

    def decided(self) -> Sequence[DecisionEvent]:
        return self.storage.decided(self.start, limit=1000)[1]

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

    web = await site.make("Web", 0, 2)
    called = await site.ask(f"/collections/{web}/policy-calls")

    assert [answer.json, called.json] == [{"machines": 1, "left_out": 1}] * 2
    # Where all are left out nobody is called, and not the whole.
    alone = await site.ask(f"/collections/{await site.make('Alone', 0)}/policy-calls")

    assert alone.json == {"machines": 0, "left_out": 1}
    assert list(called_in(site.decided())) == [site.clients[2].uuid]
    assert list(collections_called_in(site.decided())) == []
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


async def test_called_machines_stand_in_the_log_and_one_that_is_shut_out_stops_all(
    site: Site,
) -> None:
    first, second, third = [str(UUID(bytes=client.uuid)) for client in site.clients]
    answer = await site.ask("/policy-calls", machines=[first, second])
    shut_out = site.clients[2].uuid
    await site.storage.decide(
        "x",
        "machines.quarantine",
        lambda tx: tx.set_client_state([shut_out], ClientState.QUARANTINED),
        now=site.plane.clock.now(),
    )
    refused = await site.ask("/policy-calls", machines=[first, third])

    assert (answer.status, answer.json, refused.status) == (202, {"machines": 2}, 409)
    assert set(called_in(site.decided())) == {site.clients[0].uuid, site.clients[1].uuid}
    assert site.wanted() == [0, 0, 0]


async def test_a_collections_machines_are_called_or_scan(site: Site) -> None:
    path = f"/collections/{await site.make('Web', 0, 2)}"
    called = await site.ask(f"{path}/policy-calls")
    scanned = await site.ask(f"{path}/scans")
    nowhere = await site.ask(f"/collections/{UUID(int=9)}/policy-calls")

    assert [called.json, scanned.json] == [{"machines": 2, "left_out": 0}] * 2
    assert nowhere.status == 404
    assert list(collections_called_in(site.decided())) == [UUID(path.rpartition("/")[2])]
    assert [bool(one) for one in site.wanted()] == [True, False, True]


async def test_who_may_see_some_machines_calls_no_others(site: Site) -> None:
    both, own = await site.make("Both", 0, 1), await site.make("Own", 1, 2)
    rights = {Right(Kind.MACHINES, verb, own) for verb in (Verb.READ, Verb.MODIFY)}
    token = await site.plane.token(rights=frozenset(rights | {Right(Kind.COLLECTIONS, Verb.READ)}))

    async def call(path: str, **document: object) -> Answer:
        return await site.plane.ask("POST", f"/api/v1{path}", token=token, document=document)

    others = await call(f"/collections/{both}/policy-calls")
    other = await call("/policy-calls", machines=[str(UUID(bytes=site.clients[0].uuid))])
    his = await call(f"/collections/{own}/policy-calls")

    assert (others.status, other.status, his.json) == (404, 404, {"machines": 2, "left_out": 0})
    assert list(called_in(site.decided())) == []
    assert list(collections_called_in(site.decided())) == [UUID(own)]


async def test_of_a_collection_of_which_nobody_knows_who_is_in_it_nobody_is_called(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/collections/{await site.make('Web', 0)}"

    def nobody_knows(*_: object) -> None:
        raise Unavailable("nobody knows who is in Web")

    monkeypatch.setattr(site.plane.context.fleet.collections, "members_of", nobody_knows)
    said = [await site.ask(f"{path}/{what}") for what in ("policy-calls", "scans")]

    assert [answer.status for answer in said] == [503, 503]
    assert list(collections_called_in(site.decided())) == []
