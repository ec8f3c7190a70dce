"""Updates by query: what the list of updates answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.access.rights import right
from patchtide.domain.catalog.details import Classification, Severity
from tests.integration.http.plane import AdministratorsPlane, Answer
from tests.simulator.catalogs import Catalog, a_leaf, a_scan, an_update_id, some_details
from tests.simulator.reports import enrolled

pytestmark = pytest.mark.anyio


class Site:
    def __init__(self, storage: Storage) -> None:
        self.catalog = Catalog(storage)
        self.plane = AdministratorsPlane(storage=storage, catalog=self.catalog)

    async def ask(self, query: str) -> Answer:
        path = f"/api/v1/updates?sort=title&query={quote(query)}"
        return await self.plane.ask("GET", path, token=await self.plane.token(role="auditor"))

    async def titles(self, query: str) -> list[str]:
        found: Any = (await self.ask(query)).json
        return [item["title"].split()[0] for item in found["items"]]


@pytest.fixture
async def site(storage: Storage) -> Site:
    made = Site(storage)
    names = ("openssl", "curl", "bash")
    told = [
        replace(
            some_details("openssl", severity=Severity.CRITICAL), cves=("CVE-2026-1", "CVE-2026-2")
        ),
        replace(some_details("curl", severity=Severity.LOW), product="Tools", cves=()),
        replace(some_details("bash"), classification=Classification.TOOL, released=None),
    ]
    leaves = [a_leaf(number, name) for number, name in enumerate(names, start=1)]
    await made.catalog.publish(leaves, details=told)
    return made


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["bash", "curl", "openssl"]),
        ("SSL", ["openssl"]),
        ("severity >= low", ["curl", "openssl"]),
        ("cve = cve-2026-2", ["openssl"]),
        ("cve != cve-2026-2", ["bash", "curl"]),
        ("product = tools or classification = tool", ["bash", "curl"]),
        ("age >= 0d", ["curl", "openssl"]),
        ("superseded or expired or exploited or mitigated", []),
        ("risk = emergency", ["openssl"]),
        ("required = 0 and installed = 0 and unknown = 0", ["bash", "curl", "openssl"]),
        ("state in (required, installed, unknown)", []),
        ("feed contains x or vendor = nobody", []),
    ],
)
async def test_every_field_of_an_update_can_be_asked(
    site: Site, query: str, found: list[str]
) -> None:
    assert await site.titles(query) == found


async def test_what_is_on_a_list_is_found_as_the_list_is_now(site: Site) -> None:
    token = await site.plane.token(role="engineer")

    async def do(method: str, path: str, said: Any = None) -> Answer:
        return await site.plane.ask(method, f"/api/v1{path}", token=token, document=said)

    await do("POST", "/lists", {"name": "october-2", "query": "curl"})
    made = await site.titles("list = october-2")
    await do("POST", "/lists/october-2/updates", {"updates": [str(an_update_id("bash"))]})
    more = await site.titles("list = october-2"), await site.titles("list != october-2")
    offered = (await do("GET", "/query-completions?text=list%20%3D%20o")).json["items"]
    misspelt = await site.ask("list = octobr-2")
    await do("DELETE", "/lists/october-2")

    assert made == ["curl"] and more == (["bash", "curl"], ["openssl"])
    assert [one["text"] for one in offered] == ["october-2"]
    assert "did you mean `october-2`?" in misspelt.body.decode()
    assert (await site.ask("list = october-2")).status == 400


async def test_every_mistake_of_a_query_is_told_with_its_place(site: Site) -> None:
    answer = await site.ask("severty = low and age > 3")

    assert answer.status == 400
    assert answer.json["code"] == "invalid-query"
    assert [problem["where"] for problem in answer.json["problems"]] == [
        "line 1, column 1",
        "line 1, column 25",
    ]


async def test_machines_are_asked_for_by_the_updates_that_they_need(site: Site) -> None:
    """On SQLite and PostgreSQL: in lists, reports, collections, completed and with its mistakes."""
    plane, storage = site.plane, site.plane.storage
    machines = await enrolled(storage, 4)
    needs = ([1], [2], [1, 2], [])
    for one, required in zip(machines, needs, strict=True):
        rest = {1, 2, 3} - set(required)
        scan = a_scan(one.number, 1, required=required, installed=sorted(rest))
        await storage.accept([scan], now=plane.clock.now().timestamp())
    token = await plane.token(role="full-administrator")

    async def do(path: str, **document: Any) -> Answer:
        method = "POST" if document else "GET"
        return await plane.ask(method, f"/api/v1{path}", token=token, document=document or None)

    async def found(query: str, path: str = "/machines?query=") -> list[int]:
        answer = (await do(f"{path}{quote(query)}")).json
        names = [one.name for one in machines]
        return sorted(names.index(item["name"]) for item in answer["items"])

    asked = ("requires(CVE-2026-1)", "requires(severity >= low)", "not requires()",
             "requires(cve = CVE-2026-2) and required > 1", "requires(list = spring)")  # fmt: skip
    await do("/lists", name="spring", query="curl")
    made = await do("/collections", name="needing", query="requires(list = spring)")
    members = f"/collections/{made.json['id']}/machines?limit="
    before = await found("9", members)
    await storage.accept(
        [a_scan(machines[1].number, 2, installed=[1, 2, 3])], now=plane.clock.now().timestamp()
    )
    report = (await do(f"/reports/by-machine?machines={quote('requires(openssl)')}")).json
    begun = quote("name = a or requires(severity >= l")
    offered = (await do(f"/machine-query-completions?text={begun}")).json["items"]
    wrong = await do(f"/machines?query={quote('requires(list = autumn)')}")
    counted = await do(f"/machines?query={quote('requires(required > 3)')}")
    path = f"/api/v1/machines?query={quote('requires(openssl)')}"
    at, updates = f"@{made.json['id']}", "catalog.read"
    limited = [["machines.read"], ["machines.read", updates + at], ["machines.read" + at, updates]]
    limited.append(["machines.read" + at, updates + at])
    tokens = [await plane.token(rights=frozenset(map(right, one))) for one in limited]
    told = [await plane.ask("GET", path, token=token) for token in tokens]

    assert [await found(query) for query in asked] == [[0, 2], [0, 2], [1, 3], [2], [2]]
    assert (before, await found("9", members)) == ([1, 2], [2])
    assert report["members"] == 2 and offered[0]["text"] == "low"
    assert (wrong.status, "autumn" in wrong.body.decode()) == (400, True)
    assert counted.json["problems"][0]["where"] == "line 1, column 10"
    # Whoever reads updates as some machines stand on them asks who needs them of these alone.
    assert [one.status for one in told] == [404, 403, 200, 200]
    assert [len(one.json["items"]) for one in told[2:]] == [1, 1]
