"""What the administrators' plane answers about machines and updates, from reports to pages."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.catalog.details import FileSource, Severity
from patchtide.domain.catalog.versions_deb import deb_key
from patchtide.domain.errors import InvalidDocument
from patchtide.server import machine_updates
from patchtide.server.ports.clients import Client
from patchtide.server.ports.reports import IncomingReport, Presence
from patchtide.wire.inventory import HardwareV1, hardware, package_list, read_hardware
from patchtide.wire.messages import EventV1, HealthV1, ReportV1, decode, encode
from tests.integration.http.plane import AdministratorsPlane
from tests.simulator.catalogs import Catalog, a_leaf, a_scan, an_update_id, some_details
from tests.simulator.reports import LINEAGE, NOON, enrolled

pytestmark = pytest.mark.anyio


@dataclass
class Site:
    """Three machines and three updates: openssl and curl of security, bash without a word."""

    plane: AdministratorsPlane
    token: str
    clients: list[Client]
    catalog: Catalog

    @property
    def storage(self) -> Storage:
        found: Storage = self.plane.storage
        return found

    async def get(self, path: str) -> Any:
        answer = await self.plane.ask("GET", f"/api/v1{path}", token=self.token)
        assert answer.status == 200, answer.body
        return answer.json

    async def report(self, *reports: IncomingReport) -> None:
        await self.storage.accept(reports, now=self.plane.clock.now().timestamp())

    async def inventory(self, kind: str, body: bytes) -> None:
        await self.storage.put_inventory(
            self.clients[0].number, kind=kind, digest=sha256(body).digest(), body=body, now=0.0
        )

    def id(self, place: int) -> UUID:
        return UUID(bytes=self.clients[place].uuid)


@pytest.fixture
async def site(storage: Storage) -> Site:
    catalog = Catalog(storage)
    plane = AdministratorsPlane(storage=storage, catalog=catalog)
    await catalog.publish(
        [a_leaf(1, "openssl"), a_leaf(2, "curl"), a_leaf(3, "bash")],
        details=[
            some_details("openssl", severity=Severity.CRITICAL, cves=("CVE-2026-1", "CVE-2026-2")),
            some_details("curl", severity=Severity.LOW, cves=None, released=None),
        ],
    )
    token = await plane.token(role="auditor")
    site = Site(plane, token, await enrolled(storage, 3), catalog)
    first, second, _ = site.clients
    await site.report(
        a_scan(first.number, 1, required=[1], installed=[2]),
        a_scan(second.number, 1, required=[1], installed=[2, 3]),
    )
    return site


async def test_machines_are_listed_with_how_they_stand(site: Site) -> None:
    listed = await site.get("/machines?sort=required")

    assert [(m["name"], m["compliance"], m["required"]) for m in listed["items"]] == [
        ("web-0", "required", 1),
        ("web-1", "required", 1),
        ("web-2", "unknown", 0),
    ]
    assert listed["items"][2]["doubt"] == "never-reported"
    assert (listed["total"], listed["counts"]) == (
        3,
        {"compliant": 0, "required": 2, "restart": 0, "unknown": 1},
    )


async def test_the_counts_are_those_of_what_was_searched_for(site: Site) -> None:
    listed = await site.get("/machines?compliance=unknown&search=WEB-")
    nothing = await site.get("/machines?search=db")

    assert [m["name"] for m in listed["items"]] == ["web-2"]
    assert (listed["total"], listed["counts"]["required"]) == (1, 2)
    assert (nothing["items"], nothing["total"], nothing["next"]) == ([], 0, None)


@pytest.mark.parametrize("sort", ["name", "-name", "required", "-required", "reported"])
async def test_pages_follow_each_other_without_gap_or_repetition(site: Site, sort: str) -> None:
    whole = await site.get(f"/machines?sort={sort}")
    found: list[str] = []
    after = ""
    while True:
        page = await site.get(f"/machines?sort={sort}&limit=1{after}")
        found += [m["name"] for m in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"

    assert found == [m["name"] for m in whole["items"]]


LISTS = {
    "machines": "/machines?",
    "updates": "/updates?",
    "updates of a machine": "/machines/{machine}/updates?",
    "machines of an update": "/updates/{update}/machines?",
}


def of_title_and_name(rows: list[dict[str, Any]]) -> list[str]:
    return [row.get("name", row.get("title")) for row in rows]


@pytest.mark.parametrize("path", LISTS.values(), ids=LISTS)
async def test_what_is_no_cursor_of_a_list_is_refused_in_one_sentence(
    site: Site, path: str
) -> None:
    path = path.format(machine=site.id(0), update=an_update_id("openssl"))
    first = await site.get(f"{path}limit=1")
    other_order = f"sort=-severity&after={first['next']}"
    if "updates" not in path.rpartition("/")[2]:
        other_order = f"sort=-reported&after={first['next']}"
    forged = urlsafe_b64encode(b'["state",[[]]]').decode()

    for said in (f"after={UUID(int=1)}", "after=%2500", f"after={forged}", other_order):
        answer = await site.plane.ask("GET", f"/api/v1{path}{said}", token=site.token)

        assert answer.status == 400, (said, answer.body)
        assert [p["where"] for p in answer.json["problems"]] == ["after"]


async def test_a_page_follows_the_last_one_when_its_last_row_stands_elsewhere_by_now(
    site: Site,
) -> None:
    first = await site.get("/machines?sort=required&limit=1")
    assert of_title_and_name(first["items"]) == ["web-0"]

    await site.report(a_scan(site.clients[0].number, 2, installed=[1]))
    second = await site.get(f"/machines?sort=required&after={first['next']}")

    assert of_title_and_name(second["items"]) == ["web-1", "web-0", "web-2"]


async def test_updates_are_listed_by_how_many_need_them(site: Site) -> None:
    listed = await site.get("/updates")

    assert [(u["title"], u["required"], u["unknown"]) for u in listed["items"]] == [
        ("openssl 2.0-1", 2, 1),
        ("curl 2.0-1", 0, 1),
        ("bash 2.0-1", 0, 1),
    ]
    assert [u["cves"] for u in listed["items"]] == [["CVE-2026-1", "CVE-2026-2"], None, None]
    assert listed["counts"] == {"required": 1, "unknown": 3}


FILTERS = {
    "by state": ("state=required", ["openssl 2.0-1"]),
    "by severity": ("severity=low", ["curl 2.0-1"]),
    "by kind": ("classification=security&sort=title", ["curl 2.0-1", "openssl 2.0-1"]),
    "by CVE": ("search=cve-2026-2", ["openssl 2.0-1"]),
    "by name": ("search=BASH", ["bash 2.0-1"]),
}


@pytest.mark.parametrize(("query", "titles"), FILTERS.values(), ids=FILTERS)
async def test_updates_are_found(site: Site, query: str, titles: list[str]) -> None:
    listed = await site.get(f"/updates?{query}")

    assert [u["title"] for u in listed["items"]] == titles


async def test_one_update_has_its_text_and_its_rules_in_words(site: Site) -> None:
    shown = await site.get(f"/updates/{an_update_id('openssl')}")

    [leaf] = shown["leaves"]
    assert (shown["description"], shown["severity"]) == ("openssl: what it is", "critical")
    assert leaf["prerequisite"] == [{"depth": 0, "text": "os debian 12"}]
    assert [(line["depth"], line["text"]) for line in leaf["installed"]] == [
        (0, "all of"),
        (1, "deb openssl installed"),
        (1, "not"),
        (2, "deb openssl < 2.0-1"),
    ]
    [file] = leaf["files"]
    assert (file["name"], file["version"], file["size_bytes"]) == ("openssl", "2.0-1", 1000)


async def test_one_update_says_how_it_is_installed_and_where_its_files_come_from(
    site: Site,
) -> None:
    told = replace(
        some_details("openssl"),
        advisories=("DSA-1-1",),
        also_for=("Debian 13",),
        architectures=("amd64",),
        max_run_time=timedelta(minutes=5),
        licence="Be good.",
        sources=(FileSource(bytes(32), "https://example.org/openssl.deb"),),
    )
    await site.catalog.publish([], details=[told])

    shown, untold = [await site.get(f"/updates/{an_update_id(n)}") for n in ("openssl", "bash")]

    assert shown["advisories"] == ["DSA-1-1"] and shown["products"] == ["Debian 12", "Debian 13"]
    assert (shown["max_run_s"], shown["terms"], shown["restart"]) == (300, "Be good.", "never")
    assert shown["leaves"][0]["files"][0]["sources"] == ["https://example.org/openssl.deb"]
    assert (untold["max_run_s"], untold["revision"], untold["architectures"]) == (1800, 1, [])


async def test_what_a_newer_update_takes_the_place_of_is_not_required_where_that_applies(
    site: Site,
) -> None:
    """Two machines require openssl; curl supersedes it and is installed on both."""
    newer = replace(some_details("curl"), supersedes=(an_update_id("openssl"),))
    await site.catalog.publish([], details=[newer])
    openssl = an_update_id("openssl")

    listed = await site.get("/updates?status=superseded")
    shown = await site.get(f"/updates/{openssl}")
    there = await site.get(f"/updates/{openssl}/machines")
    machine = await site.get(f"/machines/{site.id(0)}/updates")
    machines = await site.get("/machines")

    [older] = listed["items"]
    assert (older["title"], older["required"], older["not_required"]) == ("openssl 2.0-1", 0, 2)
    assert [x["title"] for x in shown["superseded_by"]] == ["curl 2.0-1"]
    assert there["counts"]["required"] == 0
    assert {u["title"]: u["state"] for u in machine["items"]}["openssl 2.0-1"] == "not-required"
    assert [m["required"] for m in machines["items"]] == [0, 0, 0]
    assert machines["counts"]["compliant"] == 2


async def test_what_took_an_updates_place_and_expired_since_gives_it_back(site: Site) -> None:
    newer = replace(some_details("curl"), supersedes=(an_update_id("openssl"),), expired_at=NOON)
    await site.catalog.publish([], drops=[2], details=[newer])

    older = await site.get(f"/updates/{an_update_id('openssl')}")

    assert (older["status"], older["superseded_by"]) == ("current", [])
    assert older["required"] == 2


async def test_an_expired_update_is_shown_and_counted_nowhere(site: Site) -> None:
    gone = replace(some_details("openssl"), expired_at=NOON)
    await site.catalog.publish([], drops=[1], details=[gone])

    listed = await site.get("/updates?status=expired")
    shown = await site.get(f"/updates/{an_update_id('openssl')}")
    machine = await site.get(f"/machines/{site.id(0)}/updates")

    [expired] = listed["items"]
    assert (expired["status"], expired["required"]) == ("expired", 0)
    assert shown["expired_at"] is not None and shown["leaves"] == []
    assert "openssl 2.0-1" not in [u["title"] for u in machine["items"]]


async def test_a_bundle_stands_for_its_parts(site: Site) -> None:
    parts = (an_update_id("openssl"), an_update_id("curl"))
    bundle = replace(some_details("both"), members=parts)
    await site.catalog.publish([], details=[bundle])

    listed = await site.get("/updates")
    shown = await site.get(f"/updates/{an_update_id('both')}")
    part = await site.get(f"/updates/{parts[0]}")

    assert {u["title"]: u["required"] for u in listed["items"]} == {
        "both 2.0-1": 2,
        "bash 2.0-1": 0,
    }
    assert [x["title"] for x in shown["members"]] == ["curl 2.0-1", "openssl 2.0-1"]
    assert [leaf["files"][0]["name"] for leaf in shown["leaves"]] == ["curl", "openssl"]
    assert part["required"] == 2


async def test_an_update_shows_its_machines_by_state(site: Site) -> None:
    path = f"/updates/{an_update_id('bash')}/machines"

    listed = await site.get(path)
    some = await site.get(f"{path}?state=installed")

    assert [(m["name"], m["state"], m["doubt"]) for m in listed["items"]] == [
        ("web-2", "unknown", "never-reported"),
        ("web-1", "installed", ""),
        ("web-0", "not-required", ""),
    ]
    assert [m["name"] for m in some["items"]] == ["web-1"]
    assert some["counts"] == {"required": 0, "installed": 1, "not_required": 1, "unknown": 1}


async def test_a_machine_shows_what_is_there_and_what_would_mend_it(site: Site) -> None:
    await site.inventory(
        "packages",
        package_list([("openssl", "1.9-1", "amd64"), ("curl", "2.0-1", "amd64")]),
    )

    listed = await site.get(f"/machines/{site.id(0)}/updates")

    assert [(u["title"], u["state"], u["packages"]) for u in listed["items"]] == [
        (
            "openssl 2.0-1",
            "required",
            [{"name": "openssl", "installed": "1.9-1", "fixed": "2.0-1"}],
        ),
        (
            "curl 2.0-1",
            "installed",
            [{"name": "curl", "installed": "2.0-1", "fixed": "2.0-1"}],
        ),
        ("bash 2.0-1", "not-required", []),
    ]
    assert listed["counts"] == {"required": 1, "installed": 1, "not_required": 1, "unknown": 0}


async def test_a_machine_that_never_reported_has_nothing_but_unknown_updates(site: Site) -> None:
    listed = await site.get(f"/machines/{site.id(2)}/updates")

    assert {u["state"] for u in listed["items"]} == {"unknown"}
    assert (listed["counts"]["unknown"], listed["doubt"]) == (3, "never-reported")


async def test_a_machine_shows_its_facts_and_its_health(site: Site) -> None:
    await site.inventory(
        "hardware", hardware(HardwareV1(system="Debian 12", kernel="6.1.0", addresses=("::1",)))
    )
    health = encode(HealthV1(agent_version="0.3", restart_pending=True, degraded="disk full"))
    await site.storage.flush_presence(
        [
            Presence(
                client=site.clients[0].number, counter=1, seen_at=NOON.timestamp(), health=health
            )
        ]
    )

    shown = await site.get(f"/machines/{site.id(0)}")

    assert (shown["system"], shown["kernel"], shown["addresses"]) == ("Debian 12", "6.1.0", ["::1"])
    assert (shown["agent_version"], shown["restart_pending"]) == ("0.3", True)
    assert (shown["degraded"], shown["seen_at"]) == ("disk full", "2026-03-02T12:00:00Z")
    assert (shown["required"], shown["installed"], shown["not_required"]) == (1, 1, 1)
    assert (shown["shards"], shown["scan"], shown["full_report"]) == (
        {"debian-12": 1},
        "completed",
        False,
    )


async def test_a_machines_history_has_its_steps_and_what_was_decided(site: Site) -> None:
    at = int(NOON.timestamp())
    events = msgspec.msgpack.encode([EventV1(at=at + 60, code="staged", update=1, detail="ok")])
    await site.report(a_scan(site.clients[0].number, 2, required=[1], events=events))
    site.plane.clock.advance(minutes=5)
    await site.plane.ask(
        "POST",
        f"/api/v1/machines/{site.id(0)}/full-report",
        token=await site.plane.token(role="full-administrator"),
    )

    path = f"/machines/{site.id(0)}/history"
    seen = await site.get(path)
    limited = await site.plane.token(role="help-desk")
    without = await site.plane.ask("GET", f"/api/v1{path}", token=limited)

    assert [(e["what"], e["title"]) for e in seen["items"]] == [
        ("machines.full-report", ""),
        ("staged", "openssl 2.0-1"),
    ]
    assert [e["what"] for e in without.json["items"]] == ["staged"]


EXTREMES = (
    -(2**63),
    -(10**14),
    -1,
    0,
    2**31,
    2**33 - 1,
    2**33,
    10**12,
    2**53 - 1,
    2**63,
    2**64 - 1,
)


async def tell(site: Site, place: int, number: int) -> int:
    """Have a machine say the number wherever its messages have one; count what is taken."""
    client, taken = site.clients[place], 0
    report: dict[str, Any] = {"counter": 9, "lineage": LINEAGE, "shards": {}, "digest": bytes(32)}
    event: dict[str, Any] = {"at": 1, "code": "staged"}
    for said in (
        {**report, "scanned_at": number},
        {**report, "shards": {"debian-12": number}},
        {**report, "events": [{**event, "at": number}]},
        {**report, "events": [{**event, "update": number}]},
    ):
        try:
            read = decode(msgspec.msgpack.encode({"t": "report1", **said}), ReportV1)
        except InvalidDocument:
            continue
        taken += 1
        counter = 10 * (EXTREMES.index(number) + 1) + taken
        sent = a_scan(client.number, counter, required=[1], events=encode_events(read.events))
        shards = msgspec.msgpack.encode(read.shards or {"debian-12": 1})
        await site.report(replace(sent, scanned_at=read.scanned_at, shards=shards))
    for name in ("processors", "memory_bytes"):
        body = msgspec.msgpack.encode({name: number})
        try:
            read_hardware(body)
        except InvalidDocument:
            continue
        await site.inventory("hardware", body)
    return taken


def encode_events(events: tuple[EventV1, ...]) -> bytes:
    return msgspec.msgpack.encode(events) if events else b""


PAGES = (
    "/machines",
    "/machines/{machine}",
    "/machines/{machine}/history",
    "/machines/{machine}/updates",
    "/updates",
    "/overview",
)


async def test_whatever_number_a_machine_may_say_every_page_is_still_answered(site: Site) -> None:
    taken = 0
    for number in EXTREMES:
        taken += await tell(site, 0, number)
        for path in PAGES:
            await site.get(path.format(machine=site.id(0)))

    assert taken > 4


async def test_a_stored_time_that_is_none_makes_that_one_machine_unknown(site: Site) -> None:
    first, second, _ = site.clients
    broken = replace(a_scan(first.number, 2, required=[1]), scanned_at=10**12)
    events = msgspec.msgpack.encode([{"at": 10**12, "code": "staged"}])
    await site.report(broken, a_scan(first.number, 3, required=[1], events=events))
    await site.report(replace(a_scan(first.number, 4, required=[1]), scanned_at=10**12))
    await site.report(a_scan(second.number, 2, required=[1, 2], installed=[3]))

    listed = await site.get("/machines")
    shown = await site.get(f"/machines/{site.id(0)}")
    history = await site.get(f"/machines/{site.id(0)}/history")

    assert [(m["compliance"], m["doubt"], m["required"]) for m in listed["items"]] == [
        ("unknown", "scan-failed", 0),
        ("required", "", 2),
        ("unknown", "never-reported", 0),
    ]
    assert shown["scan_error"] == "The server cannot read what it reported last."
    assert [e["what"] for e in history["items"]] == ["unreadable-events"]

    await site.report(a_scan(first.number, 5, required=[1]))

    [again, _, _] = (await site.get("/machines"))["items"]
    assert (again["compliance"], again["required"]) == ("required", 1)


async def test_a_package_named_without_end_costs_no_more_than_what_is_shown_of_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def key(version: str) -> bytes:
        compared.append(version)
        return deb_key(version)

    monkeypatch.setattr(machine_updates, "deb_key", key)
    rows = (("openssl", f"1.{number}", "amd64") for number in range(20_000))
    await site.inventory("packages", package_list(rows))

    listed = await site.get(f"/machines/{site.id(0)}/updates")

    assert len(listed["items"][0]["packages"]) == machine_updates.PACKAGES
    assert len(compared) == 2 * machine_updates.PACKAGES


async def test_lists_that_would_be_taken_no_more_stop_no_page(site: Site) -> None:
    await site.inventory("hardware", msgspec.msgpack.encode({"services": [""] * 2_001}))
    await site.inventory("packages", msgspec.msgpack.encode([["", "", ""]] * 50_001))

    shown = await site.get(f"/machines/{site.id(0)}")
    listed = await site.get(f"/machines/{site.id(0)}/updates")

    assert (shown["services"], len(listed["items"])) == ([], 3)


async def test_the_overview_counts_what_the_lists_list(site: Site) -> None:
    now = site.plane.clock.now()
    seen = [
        Presence(client=site.clients[0].number, counter=1, seen_at=now.timestamp()),
        Presence(
            client=site.clients[1].number,
            counter=1,
            seen_at=(now - timedelta(hours=4)).timestamp(),
        ),
    ]
    await site.storage.flush_presence(seen)

    found = await site.get("/overview")

    assert found["machines"] == {"waiting": 0, "active": 3, "quarantined": 0}
    assert found["compliance"] == {"compliant": 0, "required": 2, "restart": 0, "unknown": 1}
    assert found["doubts"] == {"never-reported": 1}
    assert (found["reporting"], found["silent"]) == (1, 2)
    assert [u["title"] for u in found["worst"]] == ["openssl 2.0-1"]
    assert (found["updates"], found["shards"]) == (3, {"debian-12": 1})
    assert [e["operation"] for e in found["events"]] == ["machines.enrol", "catalog.publish"]


async def test_the_newest_events_are_for_those_who_may_read_the_audit(site: Site) -> None:
    answer = await site.plane.ask(
        "GET", "/api/v1/overview", token=await site.plane.token(role="help-desk")
    )

    assert (answer.status, answer.json["events"]) == (200, None)
