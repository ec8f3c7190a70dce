"""Alerts on real databases: measured by one node, raised, taken on, ended; each told once."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.errors import Unavailable
from patchtide.server.alert_book import STANDINGS, read_standings
from patchtide.server.alert_facts import AlertFacts
from patchtide.server.alert_watch import AlertWatch
from patchtide.server.ports.reports import Presence
from patchtide.wire.inventory import HardwareV1, hardware
from tests.integration.http.plane import AdministratorsPlane
from tests.simulator.catalogs import Catalog, a_leaf, a_scan, some_details
from tests.simulator.reports import enrolled

pytestmark = pytest.mark.anyio


@dataclass
class Site:
    """Its watch measures when a test says so; how full the disk is, the test says too."""

    plane: AdministratorsPlane
    token: str
    disk: float = 10.0
    watch: AlertWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = self.another_watch()

    def another_watch(self, *, waiting: int = 0) -> AlertWatch:
        context = self.plane.context
        facts = AlertFacts(
            fleet=context.fleet,
            synchronisations=context.synchronisations,
            waiting_reports=lambda: waiting,
            disk_used=lambda: self.disk,
            silent_after=lambda: context.silent_after,
            calendar=context.reading.calendar,
        )
        storage: Storage = self.plane.storage
        return AlertWatch(facts=facts, reading=storage, decisions=storage, clock=self.plane.clock)

    async def ask(self, method: str, path: str = "", document: Any = None) -> Any:
        answer = await self.plane.ask(
            method, f"/api/v1/alerts{path}", token=self.token, document=document
        )
        assert answer.status < 300, answer.body
        return answer.json if answer.body else None

    async def define(self, name: str, **rule: Any) -> None:
        await self.ask("PUT", f"/{name}", rule)

    async def minutes(self, count: int = 1) -> None:
        for _ in range(count):
            self.plane.clock.advance(seconds=60)
            await self.watch.step()

    async def raised(self) -> list[str]:
        return [one["rule"] for one in (await self.ask("GET"))["raised"]]

    async def value(self, name: str) -> Any:
        return (await self.ask("GET", f"/{name}"))["rule"]["value"]

    def audited(self) -> list[Any]:
        return [e for e in self.plane.storage.audit() if e.operation == "alerts.measure"]


@pytest.fixture
async def site(storage: Storage) -> Site:
    plane = AdministratorsPlane(storage=storage, catalog=Catalog(storage))
    return Site(plane, await plane.token(role="full-administrator"))


async def test_an_alert_is_raised_taken_on_and_ends_and_each_turn_is_told_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.define("full", watched="disk", limit=90, margin=5, lasting_min=2)
    site.disk = 95
    await site.minutes(2)
    assert await site.raised() == []
    await site.minutes(2)
    assert await site.raised() == ["full"]
    taken = await site.ask("POST", "/full/acknowledgement")
    site.disk = 88
    await site.minutes(4)
    assert await site.raised() == ["full"]
    site.disk = 80
    await site.minutes(4)

    shown = await site.ask("GET", "/full")
    assert await site.raised() == []
    assert taken["acknowledged_by"] == "api-token:000000000001"
    [alert] = shown["items"]
    assert alert["text"] == "the disk of the server's home is 95 % full; the limit is 90 %"
    assert alert["ended_at"] > alert["raised_at"]
    assert [e.detail["turn"] for e in site.audited()] == ["raised", "ended"]
    assert [r.levelname for r in caplog.records if "alert full" in r.message] == ["WARNING"] * 2


async def test_two_nodes_measure_once_a_minute_together(site: Site) -> None:
    await site.define("full", watched="disk", limit=90, lasting_min=0)
    other = site.another_watch()
    site.disk = 99
    await site.minutes()
    first = read_standings(site.plane.storage.setting(STANDINGS)).measured_at
    site.plane.clock.advance(seconds=20)
    await other.step()
    assert read_standings(site.plane.storage.setting(STANDINGS)).measured_at == first
    site.plane.clock.advance(seconds=40)
    await other.step()

    assert read_standings(site.plane.storage.setting(STANDINGS)).measured_at == first + 60
    assert len(site.audited()) == 1


async def test_the_node_that_is_ill_is_found_by_whichever_measures(site: Site) -> None:
    await site.define("full-queue", watched="waiting-reports", limit=100, lasting_min=0)
    ill = site.another_watch(waiting=500)
    await site.minutes()
    assert await site.value("full-queue") == 0
    await ill.step()
    await site.minutes()
    assert (await site.value("full-queue"), await site.raised()) == (500, ["full-queue"])
    await site.minutes(3)

    assert (await site.value("full-queue"), await site.raised()) == (0, [])
    assert [e.detail["turn"] for e in site.audited()] == ["raised", "ended"]


async def test_machines_are_counted_as_sets_and_the_updates_that_count_by_a_query(
    site: Site,
) -> None:
    storage: Storage = site.plane.storage
    clients = await enrolled(storage, 4)
    catalog: Catalog = site.plane.catalog
    await catalog.publish(
        [a_leaf(1, "openssl"), a_leaf(2, "bash")],
        details=[some_details("openssl"), some_details("bash")],
    )
    now = site.plane.clock.now().timestamp()
    for client, required in zip(clients, ([1], [2], []), strict=False):
        await storage.accept([a_scan(client.number, 1, required=required)], now=now)
    await site.define("all", watched="compliance", limit=90)
    await site.define("ssl", watched="compliance", limit=90, query="openssl")
    await site.define("none", watched="compliance", limit=90, query="no-such-thing")
    await site.define("silent", watched="silence", limit=50, unit="percent")
    await site.minutes()

    assert await site.value("all") == 25
    assert await site.value("ssl") == 50
    assert await site.value("none") is None
    assert await site.value("silent") == 100


async def test_who_falls_silent_or_fails_within_a_maintenance_window_does_not_count_there(
    site: Site,
) -> None:
    storage: Storage = site.plane.storage
    clients = await enrolled(storage, 5)
    dead, restarts, others = clients[0], clients[1], clients[2:]
    clock = site.plane.clock

    async def ask(method: str, path: str, **document: Any) -> Any:
        path = f"/api/v1{path}"
        answer = await site.plane.ask(method, path, token=site.token, document=document)
        assert answer.status < 300, answer.body
        return answer.json

    async def heard(*machines: Any) -> None:
        """A machine that fails to scan is heard as well, and three check-ins are three hours."""
        now = clock.now().timestamp()
        await storage.flush_presence(
            [Presence(client=one.number, counter=1, seen_at=now) for one in machines]
        )

    async def window(at: str, clock: str, *machines: Any) -> None:
        names = [one.name for one in machines]
        made = await ask("POST", "/collections", name=f"At {at} {clock}", names=names)
        said = {"name": "x", "comes": "days", "at": at, "clock": clock, "length_min": 360}
        await ask("POST", f"/collections/{made['id']}/windows", **said)

    await site.define("silent", watched="silence", limit=5)
    await site.define("failing", watched="scan-failures", limit=5)
    await window("14:00", "utc", dead, restarts)
    in_tokyo = hardware(HardwareV1(time_zone="Asia/Tokyo"))
    await storage.put_inventory(
        others[0].number,
        kind="hardware",
        digest=sha256(in_tokyo).digest(),
        body=in_tokyo,
        now=clock.now().timestamp(),
    )
    await window("23:00", "machine", others[0])  # 14:00 by UTC
    await window("02:00", "machine", others[1])
    clock.advance(hours=1)  # 13:00
    await heard(restarts, *others)
    clock.advance(hours=2)
    now = clock.now().timestamp()
    for one in (dead, *others[:2]):
        await storage.accept([a_scan(one.number, 1, scan="failed")], now=now)
    await site.minutes()
    opened = await site.value("silent"), await site.value("failing")
    clock.advance(hours=2)
    await site.minutes()
    within = await site.value("silent"), await site.value("failing")
    clock.advance(hours=4)
    await site.minutes()

    assert opened == (1, 1)
    assert within == (3, 1)
    assert (await site.value("silent"), await site.value("failing")) == (5, 3)


async def test_a_rule_that_can_not_be_measured_any_more_is_told_once_and_shown(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await enrolled(site.plane.storage, 1)
    await site.define("gone", watched="compliance", limit=90, query="no-such-thing", lasting_min=2)
    await site.minutes(2)
    assert site.audited() == []
    await site.minutes(4)

    [told] = site.audited()
    assert (told.subject, told.detail["turn"]) == ("gone", "unmeasured")
    assert "finds nothing, or no machine is active" in caplog.text
    assert await site.raised() == []
    assert (await site.ask("GET", "/gone"))["rule"]["shown"] == "not measured"


async def test_machines_found_to_be_two_and_deceived_ones_count_for_a_day(site: Site) -> None:
    await site.define("two", watched="clones", limit=2, lasting_min=0)
    await site.define("deceived", watched="divergence", limit=1, lasting_min=0)
    await site.minutes()
    for operation, actor in (
        ("machines.quarantine", "system"),
        ("machines.quarantine", "user:0"),
        ("machines.quarantine", "system"),
        ("trust.divergence", "system"),
    ):
        await site.plane.storage.decide(
            actor, operation, lambda tx: tx.note("0" * 32), now=site.plane.clock.now()
        )
    await site.minutes()
    assert sorted(await site.raised()) == ["clones", "deceived", "divergence", "two"]
    site.plane.clock.advance(seconds=86_400)
    await site.minutes()

    assert await site.raised() == []


async def test_what_many_machines_were_shown_is_one_so_no_alert_waits_for_more(site: Site) -> None:
    answer = await site.plane.ask(
        "PUT",
        "/api/v1/alerts/deceived",
        token=site.token,
        document={"watched": "divergence", "limit": 2},
    )

    assert (answer.status, "at most 1" in str(answer.json)) == (400, True)


async def test_removing_a_rule_ends_what_it_raised_and_defining_it_anew_keeps_it(
    site: Site,
) -> None:
    site.disk = 99
    await site.define("full", watched="disk", limit=90, lasting_min=0)
    await site.minutes()
    await site.define("full", watched="disk", limit=95, lasting_min=0)
    assert await site.raised() == ["full"]
    await site.ask("DELETE", "/full")

    assert await site.raised() == []
    [alert] = (await site.ask("GET", "-history"))["items"]
    assert alert["ended_at"] is not None


async def test_what_cannot_be_written_down_is_not_told_either(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.disk = 99
    await site.define("full", watched="disk", limit=90, lasting_min=0)

    async def no(*_: Any, **__: Any) -> None:
        raise Unavailable

    with monkeypatch.context() as broken:
        broken.setattr(site.plane.storage, "decide", no)
        with pytest.raises(Unavailable):
            await site.minutes()
    assert not [r for r in caplog.records if "alert full" in r.message]
    await site.minutes()

    assert await site.raised() == ["full"]
