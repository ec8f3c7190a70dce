"""Updates by query: what the list of updates answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.catalog.details import Classification, Severity
from tests.integration.http.plane import AdministratorsPlane, Answer
from tests.simulator.catalogs import Catalog, a_leaf, an_update_id, some_details

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
