"""What a site decides about updates: how dangerous they are, and whose terms it accepts."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.catalog.details import Severity
from patchtide.wire.agent_settings import AgentSettingsV1, ProxyV1
from patchtide.wire.messages import decode
from tests.integration.http.plane import AdministratorsPlane, Answer
from tests.simulator.catalogs import Catalog, a_leaf, an_update_id, some_details

pytestmark = pytest.mark.anyio
TERMS = "Play nicely."
DIGEST = sha256(TERMS.encode()).hexdigest()


class Site:
    def __init__(self, storage: Storage) -> None:
        self.catalog = Catalog(storage)
        self.plane = AdministratorsPlane(storage=storage, catalog=self.catalog)

    async def put(
        self, name: str, what: str, said: Any, role: str = "full-administrator"
    ) -> Answer:
        path = f"/api/v1/updates/{an_update_id(name)}/{what}"
        token = await self.plane.token(role=role)
        return await self.plane.ask("PUT", path, token=token, document=said)

    async def get(self, path: str) -> Any:
        token = await self.plane.token(role="auditor")
        return (await self.plane.ask("GET", f"/api/v1/updates{path}", token=token)).json


@pytest.fixture
async def site(storage: Storage) -> Site:
    made = Site(storage)
    names = ("openssl", "curl", "bash")
    told = [
        replace(some_details("openssl", severity=Severity.LOW), licence=TERMS),
        replace(some_details("curl", severity=Severity.IMPORTANT), licence=TERMS),
        some_details("bash"),
    ]
    leaves = [a_leaf(number, name) for number, name in enumerate(names, start=1)]
    await made.catalog.publish(leaves, details=told)
    return made


async def test_a_rating_sets_the_risk_class_and_the_order(site: Site) -> None:
    before = await site.get("?sort=risk")
    answer = await site.put("openssl", "rating", {"exploited": True, "reach": "anywhere"})
    after = await site.get("?sort=risk")
    shown = await site.get(f"/{an_update_id('openssl')}")

    assert [(u["title"], u["risk"]) for u in before["items"]] == [
        ("curl 2.0-1", "high"),
        ("bash 2.0-1", "medium"),
        ("openssl 2.0-1", "low"),
    ]
    assert answer.status == 200 and shown["rating"] == answer.json
    assert [u["title"] for u in after["items"]][:2] == ["curl 2.0-1", "openssl 2.0-1"]
    targets = {t["exposure"]: (t["risk"], t["percent"], t["within_days"])
               for t in shown["rating"]["targets"]}  # fmt: skip
    assert targets["ordinary"] == ("high", 99, 14)
    assert targets["perimeter"] == ("emergency", 100, 2)
    assert [u["title"] for u in (await site.get("?risk=medium"))["items"]] == ["bash 2.0-1"]


async def test_a_site_sets_its_own_targets_and_the_rest_stay_as_sites_begin(site: Site) -> None:
    async def put(risk: str, **said: int) -> Answer:
        token = await site.plane.token(role="update-administrator")
        path = f"/api/v1/settings/targets/{risk}"
        return await site.plane.ask("PUT", path, token=token, document=said)

    async def on_page() -> tuple[int, int]:
        shown = await site.get(f"/{an_update_id('curl')}")
        [found] = [t for t in shown["rating"]["targets"] if t["exposure"] == "ordinary"]
        return found["percent"], found["within_days"]

    assert await on_page() == (99, 14)
    await put("high", days=7)
    assert await on_page() == (99, 7)
    await put("high", percent=100)
    assert await on_page() == (100, 7)
    assert (await put("high", percent=101)).status == 400
    back = await put("high")
    assert await on_page() == (99, 14)
    assert [(t["risk"], t["default"]) for t in back.json["items"]] == [
        ("emergency", True), ("high", True), ("medium", True), ("low", True),
    ]  # fmt: skip


async def test_a_site_sets_how_often_its_machines_scan_and_when_a_report_is_too_old(
    site: Site,
) -> None:
    token = await site.plane.token(role="update-administrator")

    async def put(**said: object) -> Answer:
        return await site.plane.ask("PUT", "/api/v1/settings/agents", token=token, document=said)

    first = await site.plane.ask("GET", "/api/v1/settings/agents", token=token)
    often = await put(poll_s=600, scan_every_h=4, cycle="patch-tuesday", for_days=5)
    wrong = await put(poll_s=30, scan_every_h=1, cycle="patch-tuesday", at="25:00")
    no_days = await put(at="05:00")
    slow = await put(poll_s=7200, scan_every_h=1)
    told = site.plane.context.agents.usual()

    names = ("poll_s", "scan_every_h", "silent_after_s", "stale_after_s")
    assert [first.json[name] for name in names] == [3600, 168, 3 * 3600, 14 * 86_400]
    assert [often.json[name] for name in names] == [600, 4, 3 * 600, 3 * 86_400]
    assert (often.json["cycle"], often.json["for_days"], often.json["at"]) == (
        "patch-tuesday", 5, "04:00",
    )  # fmt: skip
    assert told.poll_s == 600
    assert told.newer_than(b"") and not told.newer_than(None)
    assert [answer.status for answer in (wrong, no_days, slow)] == [400, 400, 400]


async def test_machines_are_told_of_a_proxy_and_never_of_an_account_for_it(site: Site) -> None:
    token = await site.plane.token(role="update-administrator")

    async def put(**said: object) -> tuple[Answer, ProxyV1 | None]:
        path = "/api/v1/settings/agents/proxy"
        answer = await site.plane.ask("PUT", path, token=token, document=said)
        told = site.plane.context.agents.usual().settings
        return answer, decode(told, AgentSettingsV1).proxy

    _, told = await put(address="http://proxy:3128", direct=[".example.org"])
    agents = await site.plane.ask(
        "PUT", "/api/v1/settings/agents", token=token, document={"scan_every_h": 24}
    )
    refused = [
        (await put(address="http://agents:word@proxy:3128"))[0].status,
        (await put(address="http://proxy:3128", user="agents", password="one word"))[0].status,
    ]
    none, gone = await put()

    assert told == ProxyV1(address="http://proxy:3128", direct=(".example.org",))
    assert agents.json["proxy"] == "http://proxy:3128"
    assert refused == [400, 400]
    assert (gone, none.json["proxy"]) == (None, "")


async def test_what_is_not_said_stays_rated_until_the_rating_is_withdrawn(site: Site) -> None:
    async def rated(**said: object) -> tuple[bool, str, str, bool]:
        shown = (await site.put("openssl", "rating", said)).json
        return shown["exploited"], shown["reach"], shown["note"], shown["is_rated"]

    assert await rated(exploited=True, reach="anywhere") == (True, "anywhere", "", True)
    assert await rated(note="seen") == (True, "anywhere", "seen", True)
    assert await rated(exploited=False) == (False, "anywhere", "seen", True)
    assert await rated(withdraw=True) == (False, "network", "", False)
    assert await rated(withdraw=True, exploited=True) == (True, "network", "", True)


async def test_terms_are_accepted_once_for_every_update_that_has_them(site: Site) -> None:
    before = {u["title"]: u["licence"] for u in (await site.get(""))["items"]}
    answer = await site.put("openssl", "licence", {"sha256": DIGEST})
    after = {u["title"]: u["licence"] for u in (await site.get(""))["items"]}
    shown = await site.get(f"/{an_update_id('curl')}")
    again = await site.put("curl", "licence", {"sha256": DIGEST})

    assert before == {"openssl 2.0-1": "open", "curl 2.0-1": "open", "bash 2.0-1": "none"}
    assert after == {"openssl 2.0-1": "accepted", "curl 2.0-1": "accepted", "bash 2.0-1": "none"}
    assert (shown["accepted_at"], shown["accepted_by"]) == (
        answer.json["accepted_at"],
        answer.json["accepted_by"],
    )
    assert again.status == 409


REFUSED = {
    "terms that were not read": ("openssl", {"sha256": "00" * 32}, "full-administrator", 409),
    "an update without terms": ("bash", {"sha256": DIGEST}, "full-administrator", 409),
    "one who may not": ("openssl", {"sha256": DIGEST}, "engineer", 403),
    "an update that nobody knows": ("zip", {"sha256": DIGEST}, "full-administrator", 404),
}


@pytest.mark.parametrize(("name", "said", "role", "status"), REFUSED.values(), ids=REFUSED)
async def test_nobody_accepts(
    site: Site, name: str, said: dict[str, str], role: str, status: int
) -> None:
    answer = await site.put(name, "licence", said, role)

    assert answer.status == status
    assert (await site.get("?search=openssl"))["items"][0]["licence"] == "open"
