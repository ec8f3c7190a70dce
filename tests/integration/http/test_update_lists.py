"""Saved searches and update lists: made, shown, changed, and what they keep from being removed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.access.proposals import Rule
from patchtide.server.api_tokens import RoleName
from patchtide.server.four_eyes import FOUR_EYES
from tests.integration.http.plane import AdministratorsPlane, Answer
from tests.simulator.catalogs import Catalog, a_leaf, an_update_id, some_details
from tests.simulator.clock import START

pytestmark = pytest.mark.anyio
NAMES = ("openssl", "curl", "bash")


class Site:
    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.catalog = Catalog(storage)
        self.plane = AdministratorsPlane(storage=storage, catalog=self.catalog)
        self.tokens: dict[str, str] = {}

    async def do(
        self, method: str, path: str, said: Any = None, *, role: RoleName = "engineer"
    ) -> Answer:
        if role not in self.tokens:
            self.tokens[role] = await self.plane.token(role=role)
        token = self.tokens[role]
        return await self.plane.ask(method, f"/api/v1{path}", token=token, document=said)

    async def on(self, name: str) -> list[str]:
        shown = (await self.do("GET", f"/lists/{name}")).json
        return sorted(update["title"].split()[0] for update in shown["items"])


@pytest.fixture
async def site(storage: Storage) -> Site:
    made = Site(storage)
    leaves = [a_leaf(number, name) for number, name in enumerate(NAMES, start=1)]
    await made.catalog.publish(leaves, details=[some_details(name) for name in NAMES])
    return made


def ids(*names: str) -> dict[str, Any]:
    return {"updates": [str(an_update_id(name)) for name in names]}


async def test_a_list_begins_with_what_a_query_finds_and_changes_only_when_told(site: Site) -> None:
    made = await site.do("POST", "/lists", {"name": "october", "query": "curl or bash"})
    added = await site.do("POST", "/lists/october/updates", ids("openssl", "curl"))
    removed = await site.do("POST", "/lists/october/removals", ids("bash", "openssl"))
    listed = (await site.do("GET", "/lists")).json["items"]

    assert (made.status, made.json["size"]) == (201, 2)
    assert (added.json["changed"], removed.json["changed"]) == (1, 2)
    assert await site.on("october") == ["curl"]
    assert [(one["name"], one["size"]) for one in listed] == [("october", 1)]


async def test_what_is_on_a_list_is_held_until_the_list_is_gone(site: Site) -> None:
    asked = [an_update_id("curl"), an_update_id("bash")]
    await site.do("POST", "/lists", {"name": "kept"})
    await site.do("POST", "/lists/kept/updates", ids("curl"))
    held = site.storage.update_lists.held(asked)
    await site.do("DELETE", "/lists/kept")

    assert list(held) == [an_update_id("curl")]
    assert not site.storage.update_lists.held(asked)


async def test_a_long_list_is_shown_page_by_page(site: Site) -> None:
    await site.do("POST", "/lists", {"name": "all", "query": "curl or bash or openssl"})
    found: list[str] = []
    after = ""
    for _ in range(4):
        page = (await site.do("GET", f"/lists/all?sort=title&limit=2&after={after}")).json
        found += [one["title"].split()[0] for one in page["items"]]
        after = page["next"]
        if after is None:
            break

    assert found == ["bash", "curl", "openssl"] and page["total"] == 3


@pytest.mark.parametrize(
    ("method", "path", "said", "status"),
    [
        ("GET", "/lists/none", None, 404),
        ("DELETE", "/lists/none", None, 404),
        ("POST", "/lists/none/updates", ids("curl"), 404),
        ("POST", "/lists/none/removals", ids("curl"), 404),
        ("POST", "/lists/there/updates", ids("unheard-of"), 404),
        ("POST", "/lists", {"name": "there"}, 409),
        ("POST", "/lists", {"name": "Not A Name"}, 400),
        ("POST", "/lists", {"name": "new", "query": "severty = low"}, 400),
        ("DELETE", "/searches/none", None, 404),
        ("DELETE", "/own-searches/none", None, 404),
        ("POST", "/own-searches/none/sharing", {}, 404),
        ("POST", "/lists/none/name", {"to": "new"}, 404),
        ("POST", "/lists/there/name", {"to": "there"}, 409),
        ("POST", "/lists", {"name": "new", **ids("unheard-of")}, 404),
        ("PUT", "/searches/new", {"query": "risk = "}, 400),
    ],
)
async def test_what_cannot_be_is_refused(
    site: Site, method: str, path: str, said: Any, status: int
) -> None:
    await site.do("POST", "/lists", {"name": "there"})

    assert (await site.do(method, path, said)).status == status


async def test_a_search_is_saved_in_its_canonical_form_and_replaced(site: Site) -> None:
    await site.do("PUT", "/searches/urgent", {"query": "risk = low"})
    saved = await site.do("PUT", "/searches/urgent", {"query": "curl age<2w"})
    listed = (await site.do("GET", "/searches")).json["items"]
    deleted = await site.do("DELETE", "/searches/urgent")

    assert saved.json["query"] == '"curl" and age < 14d'
    assert [(one["name"], one["query"]) for one in listed] == [("urgent", saved.json["query"])]
    assert deleted.status == 204
    assert (await site.do("GET", "/searches")).json["items"] == []


async def test_a_search_of_ones_own_is_seen_by_nobody_else_until_it_is_shared(site: Site) -> None:
    async def seen(role: RoleName) -> list[tuple[str, bool]]:
        items = (await site.do("GET", "/searches", role=role)).json["items"]
        return [(one["name"], one["shared"]) for one in items]

    await site.do("PUT", "/own-searches/mine", {"query": "curl"})
    await site.do("PUT", "/own-searches/mine", {"query": "bash"}, role="auditor")
    await site.do("POST", "/own-searches/mine/name", {"to": "curls"})
    alone = await seen("engineer"), await seen("auditor")
    refused = await site.do("POST", "/own-searches/mine/sharing", {}, role="auditor")
    shared = await site.do("POST", "/own-searches/curls/sharing", {})
    await site.do("PUT", "/own-searches/curls", {"query": "bash"})
    again = await site.do("POST", "/own-searches/curls/sharing", {})

    assert alone == ([("curls", False)], [("mine", False)])
    assert (refused.status, shared.status, again.status) == (403, 200, 409)
    assert shared.json["query"] == '"curl"'
    assert await seen("auditor") == [("curls", True), ("mine", False)]
    assert await seen("engineer") == [("curls", True), ("curls", False)]


async def test_searches_and_lists_are_renamed_with_all_that_is_in_them(site: Site) -> None:
    await site.do("PUT", "/searches/urgent", {"query": "risk = low"})
    await site.do("PUT", "/searches/other", {"query": "curl"})
    await site.do("POST", "/lists", {"name": "october", **ids("curl")})
    renamed = await site.do("POST", "/searches/urgent/name", {"to": "calm"})
    taken = await site.do("POST", "/searches/calm/name", {"to": "other"})
    listed = await site.do("POST", "/lists/october/name", {"to": "autumn"})

    assert (renamed.json["query"], taken.status, listed.status) == ("risk = low", 409, 204)
    assert await site.on("autumn") == ["curl"]
    assert (await site.do("GET", "/lists/october")).status == 404
    assert (await site.do("GET", "/updates?query=list%20%3D%20autumn")).json["total"] == 1


async def test_saved_searches_follow_a_list_that_is_renamed_and_keep_it_from_deletion(
    site: Site,
) -> None:
    await site.do("POST", "/lists", {"name": "october", **ids("curl")})
    await site.do("PUT", "/searches/due", {"query": "not list in (october) or october"})
    await site.do("PUT", "/searches/other", {"query": "october"})
    await site.do("PUT", "/own-searches/mine", {"query": "list = october"}, role="auditor")
    await site.do("POST", "/lists/october/name", {"to": "autumn"})
    refused = await site.do("DELETE", "/lists/autumn")
    kept = await site.on("autumn")
    await site.do("DELETE", "/searches/due")
    deleted = await site.do("DELETE", "/lists/autumn")
    left = (await site.do("GET", "/searches", role="auditor")).json["items"]

    assert (refused.status, refused.json["detail"]) == (
        409,
        "saved searches name this list: due",
    )
    assert (kept, deleted.status) == (["curl"], 204)
    assert [(one["name"], one["query"]) for one in left] == [
        ("mine", "list = autumn"),
        ("other", '"october"'),
    ]


async def test_a_query_is_completed_from_what_the_catalog_holds(site: Site) -> None:
    fields = (await site.do("GET", "/query-completions?text=sever")).json
    feeds = (await site.do("GET", "/query-completions?text=feed%20%3D%20")).json

    assert (fields["start"], fields["items"][0]["text"]) == (0, "severity")
    assert feeds["start"] == len("feed = ") and feeds["items"]


async def test_a_right_ends_at_one_list_which_then_keeps_its_name(site: Site) -> None:
    for name in ("october", "november"):
        await site.do("POST", "/lists", {"name": name, "query": "curl"})
    asked = {"name": "ola", "rights": ["catalog.read", "catalog.modify@list:october"]}
    full: RoleName = "full-administrator"
    made = await site.do("POST", "/api-tokens", asked, role=full)
    nowhere = {"name": "n", "rights": ["catalog.modify@list:nowhere"]}
    refused = await site.do("POST", "/api-tokens", nowhere, role=full)

    async def ola(method: str, path: str, said: Any = None) -> int:
        token = made.json["token"]
        answer = await site.plane.ask(method, f"/api/v1{path}", token=token, document=said)
        return answer.status

    assert (refused.status, "no such list" in str(refused.json)) == (400, True)
    assert await ola("POST", "/lists/october/updates", ids("bash")) == 200
    assert await site.on("october") == ["bash", "curl"]
    assert [
        await ola("POST", "/lists/november/updates", ids("bash")),
        await ola("POST", "/lists/october/name", {"to": "x"}),
        await ola("DELETE", "/lists/october"),
        await ola("POST", "/lists", {"name": "mine"}),
        await ola("PUT", "/searches/mine", {"query": "curl"}),
        await ola("POST", "/api-tokens", asked),
    ] == [403, 403, 403, 403, 403, 404]
    renamed = await site.do("POST", "/lists/october/name", {"to": "x"}, role=full)
    assert (renamed.status, "ola has rights" in renamed.json["detail"]) == (409, True)
    assert (await site.do("DELETE", "/lists/october")).status == 409
    await site.do("DELETE", f"/api-tokens/{made.json['id']}", role=full)
    assert (await site.do("DELETE", "/lists/october")).status == 204


async def test_a_right_at_a_list_waits_for_others_as_any_right_does(site: Site) -> None:
    full: RoleName = "full-administrator"
    asked = {"name": "ola", "rights": ["catalog.modify@list:october"]}
    wider = ["accounts.administer", *asked["rights"]]
    await site.do("POST", "/lists", {"name": "october"})
    ola = (await site.do("POST", "/users", asked, role=full)).json["id"]
    rule = msgspec.msgpack.encode(Rule(is_on=True))
    await site.storage.decide("x", "x", lambda tx: tx.put_setting(FOUR_EYES, rule), now=START)

    found = [
        await site.do("POST", "/users", {**asked, "name": "eve"}, role=full),
        await site.do("POST", f"/users/{ola}/role", {"rights": wider}, role=full),
        await site.do("POST", f"/users/{ola}/link", role=full),
        await site.do("POST", "/api-tokens", {"name": "m", "rights": wider}, role=full),
        await site.do("POST", "/api-tokens", asked, role=full),
    ]

    assert [one.status for one in found] == [202, 202, 202, 202, 201]


async def test_a_list_keeps_its_name_while_a_person_who_is_disabled_has_rights_at_it(
    site: Site,
) -> None:
    full: RoleName = "full-administrator"
    await site.do("POST", "/lists", {"name": "october"})
    asked = {"name": "ola", "rights": ["catalog.modify@list:october"]}
    ola = (await site.do("POST", "/users", asked, role=full)).json["id"]
    assert (await site.do("POST", f"/users/{ola}/disable", role=full)).status < 300

    refused = [
        await site.do("DELETE", "/lists/october", role=full),
        await site.do("POST", "/lists/october/name", {"to": "x"}, role=full),
    ]

    assert [one.status for one in refused] == [409, 409]
    assert all("ola has rights" in one.json["detail"] for one in refused)
