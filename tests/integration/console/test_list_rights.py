"""S17: whoever may read one update list reads it, the updates on it, and learns of no other."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from urllib.parse import quote
from uuid import UUID

import pytest

from patchtide.domain.access.rights import ROLES, rights_of
from patchtide.server.operations import OPERATIONS
from patchtide.server.table import SAFE_METHODS, Operation
from tests.integration.console.test_history import recorder_of
from tests.integration.console.test_single_rights import LIST, Furnished
from tests.integration.console.visitor import ConsoleSite
from tests.integration.http.plane import Answer
from tests.simulator.catalogs import a_leaf, a_scan, an_update_id, some_details

pytestmark = pytest.mark.anyio
INSIDE, OUTSIDE, OTHER = "mark-inside", "mark-outside", "mark-outside-2"
HELD = rights_of(["machines.read", f"catalog.read@list:{LIST}"])
BY_LISTS = [o for o in OPERATIONS if o.narrows_updates and o.plane.is_interface]
READINGS = [o for o in BY_LISTS if o.method in SAFE_METHODS]


class Kept(Furnished):
    """A site with an update on the list that somebody may read, and others that are none of his."""

    async def do(self, method: str, path: str, **document: object) -> Answer:
        keeper = await self.site.plane.token(role="full-administrator")
        path = f"/api/v1{path}"
        answer = await self.site.plane.ask(method, path, token=keeper, document=document)
        assert answer.status < 300, answer.body
        return answer

    async def publish(self, *names: str) -> None:
        """Have updates published, the machine need them all, and the others on lists of theirs."""
        leaves = [replace(a_leaf(n, name), title=name) for n, name in enumerate(names, 1)]
        told = [replace(some_details(name), title=name, product=name) for name in names]
        await self.site.catalog.publish(leaves, details=told)
        [client] = self.site.storage.clients()
        numbers = list(range(1, len(names) + 1))
        serial = 1 if len(names) == 1 else 2
        report = a_scan(client.number, serial, required=numbers, serial=serial)
        await self.site.storage.accept([report], now=self.site.clock.now().timestamp())
        for name in names[1:]:
            await self.do("POST", "/lists", name=name, query=name)
            await self.do("PUT", f"/searches/{name}", query=f"list = {name}")

    def path(self, operation: Operation) -> str:
        path = super().path(operation)
        return path.replace(f"reports/{LIST}/x", "reports/by-update/csv").replace(
            f"reports/{LIST}", "reports/by-update"
        )

    async def answers(self, token: str) -> dict[str, Answer]:
        plane = self.site.plane
        return {o.name: await plane.ask("GET", self.path(o), token=token) for o in READINGS}


@pytest.fixture
async def kept(site: ConsoleSite) -> Kept:
    machine = await site.plane.machine("web-1")
    made = Kept(site, machine, an_update_id(INSIDE))
    await made.publish(INSIDE)
    await made.do("POST", "/lists", name=LIST, query=INSIDE)
    return made


async def test_no_answer_changes_with_what_is_on_other_lists(kept: Kept) -> None:
    token = await kept.site.plane.token(rights=HELD)
    before = await kept.answers(token)
    await kept.publish(INSIDE, OUTSIDE, OTHER)
    after = await kept.answers(token)

    # That the machine looked with a newer serial is the machine's, as how it stands on everything.
    assert {name for name in before if before[name].body != after[name].body} <= {
        "explain",
        "overview",
    }
    assert {name: a.status for name, a in after.items() if a.status != 200} == {}
    assert not [name for name, a in after.items() if b"mark-outside" in a.body]
    seen = after["overview"].json
    assert (seen["updates"], seen["update_counts"]["required"]) == (1, 1)
    assert [one["title"] for one in seen["worst"]] == [INSIDE]
    assert [one["name"] for one in after["lists.list"].json["items"]] == [LIST]
    assert [one["title"] for one in after["updates.list"].json["items"]] == [INSIDE]


async def test_the_list_and_its_compliance_are_what_everybody_reads_of_it(kept: Kept) -> None:
    await kept.publish(INSIDE, OUTSIDE)
    await kept.do("POST", f"/lists/{LIST}/updates", updates=[])
    plane = kept.site.plane
    his, whole = await plane.token(rights=HELD), await plane.token(role="auditor")
    paths = (f"lists/{LIST}", f"reports/overall?list={LIST}", f"reports/by-machine?list={LIST}")
    paths += (f"history?list={LIST}", f"updates/{kept.update}", f"updates/{kept.update}/machines")

    async def told(path: str, token: str) -> Answer:
        return await plane.ask("GET", f"/api/v1/{path}", token=token)

    assert [(await told(p, his)).json for p in paths] == [
        (await told(p, whole)).json for p in paths
    ]
    # Who names no list means his, in whose compliance the other update does not count.
    assert (await told("history", his)).json == (await told(paths[3], his)).json
    overall = (await told("reports/overall", his)).json
    assert [x["count"] for x in overall["figures"]] == [0, 1, 0, 0]
    [row] = (await told("reports/by-machine", his)).json["items"]
    assert row["cells"]["required"] == 1
    [row] = (await told("reports/by-machine", whole)).json["items"]
    assert row["cells"]["required"] == 2


async def test_days_of_the_list_tell_nothing_of_what_came_into_the_catalog(kept: Kept) -> None:
    plane, recorder = kept.site.plane, recorder_of(kept.site)
    his, whole = await plane.token(rights=HELD), await plane.token(role="auditor")
    await recorder.step()
    await kept.publish(INSIDE, OUTSIDE)
    await kept.do("POST", f"/lists/{LIST}/updates", updates=[str(kept.update)])
    now, gone = kept.site.clock.now(), "catalog.withdraw"
    await kept.site.storage.decide("x", gone, lambda tx: tx.note(OUTSIDE), now=now)
    kept.site.clock.advance(days=1)
    await recorder.step()

    async def told(token: str) -> tuple[list[object], set[str]]:
        found = (await plane.ask("GET", f"/api/v1/history?list={LIST}", token=token)).json
        return found["items"], {change["operation"] for change in found["changes"]}

    (days, own), (same, every) = await told(his), await told(whole)

    assert len(days) == 2 and days == same
    assert own == {"lists.create", "lists.add", "agents.enrol"} & every
    assert every - own == {gone}


async def test_what_is_not_on_the_list_is_as_what_does_not_exist(kept: Kept) -> None:
    await kept.publish(INSIDE, OUTSIDE)
    plane, token = kept.site.plane, await kept.site.plane.token(rights=HELD)
    there, nowhere = str(an_update_id(OUTSIDE)), str(UUID(int=9))
    asked = [
        *(("GET", f"updates/{{u}}{more}", None) for more in ("", "/machines")),
        ("GET", f"machines/{kept.machine}/updates/{{u}}/explanation", None),
        *(("GET", f"lists/{{l}}{more}", None) for more in ("", "?sort=title")),
        ("POST", "lists/{l}/updates", {"updates": []}),
        ("DELETE", "lists/{l}", None),
        ("GET", "history?list={l}", None),
        ("GET", "history?update={u}", None),
        ("GET", "history?search={l}", None),
        ("GET", "reports/overall?list={l}", None),
        ("GET", "reports/overall?search={l}", None),
        ("GET", "reports/overall?update={u}", None),
        ("GET", f"updates?query={quote('list = ')}{{l}}", None),
        ("GET", f"query-completions?text={quote('list = ')}{{l}}", None),
        ("PUT", "own-searches/mine", {"query": "list = {l}"}),
    ]

    async def answer(update: str, name: str, at: int) -> tuple[int, bytes]:
        method, path, said = asked[at]
        path = path.replace("{u}", update).replace("{l}", name)
        document = None if said is None else {k: _filled(v, name) for k, v in said.items()}
        got = await plane.ask(method, f"/api/v1/{path}", token=token, document=document)
        return got.status, got.body.replace(update.encode(), b"u").replace(name.encode(), b"l")

    def _filled(value: object, name: str) -> object:
        return value.replace("{l}", name) if isinstance(value, str) else value

    pairs = [
        (await answer(there, OUTSIDE, at), await answer(nowhere, "mark-nowhere", at))
        for at in range(len(asked))
    ]

    assert [asked[at][:2] for at, (one, other) in enumerate(pairs) if one != other] == []
    assert {status for (status, _), _ in pairs} <= {200, 400, 403, 404}


async def test_no_page_names_another_list_and_every_place_that_is_shown_is_open(kept: Kept) -> None:
    await kept.publish(INSIDE, OUTSIDE, OTHER)
    visitor = await kept.visitor(*HELD)
    pages = {path: await visitor.get(path) for path in kept.pages()}
    opened = {p: a.body.decode() for p, a in pages.items() if a.status == 200 and "format" not in p}
    links = {x for page in opened.values() for x in re.findall(r'href="(/[^"#]*)"', page)}
    answers = {x: await visitor.get(unescape(x)) for x in links if "/static/" not in x}

    assert {p for p, a in pages.items() if b"mark-outside" in a.body} == set()
    assert {x: a.status for x, a in answers.items() if a.status >= 400} == {}
    assert {"/lists", f"/lists/{LIST}", "/updates", "/history", "/targets", "/reports"} <= links
    assert INSIDE in opened["/updates"] and INSIDE in opened[f"/machines/{kept.machine}"]


async def test_who_fills_the_list_puts_on_it_what_he_may_read_and_nothing_else(kept: Kept) -> None:
    await kept.publish(INSIDE, OUTSIDE)
    plane = kept.site.plane
    rights = {*HELD, *rights_of([f"catalog.modify@list:{LIST}"])}
    token = await plane.token(rights=frozenset(rights))

    async def put(name: str) -> int:
        document = {"updates": [str(an_update_id(name))]}
        path = f"/api/v1/lists/{LIST}/updates"
        return (await plane.ask("POST", path, token=token, document=document)).status

    assert [await put(INSIDE), await put(OUTSIDE), await put("nothing")] == [200, 404, 404]


async def test_several_lists_are_asked_for_one_by_one(kept: Kept) -> None:
    await kept.publish(INSIDE, OUTSIDE, OTHER)
    rights = rights_of(["machines.read", *(f"catalog.read@list:{x}" for x in (LIST, OTHER))])
    plane, token = kept.site.plane, await kept.site.plane.token(rights=rights)
    visitor = await kept.visitor(*rights)

    unnamed = await plane.ask("GET", "/api/v1/history", token=token)
    named = await plane.ask("GET", f"/api/v1/history?list={OTHER}", token=token)
    page = (await visitor.get("/history")).body.decode()

    assert (unnamed.status, named.status) == (400, 200)
    assert f"is one of {LIST}, {OTHER}" in str(unnamed.json)
    assert f"list={OTHER}" in page and f"list={OUTSIDE}&" not in page


async def test_a_role_at_a_list_is_reading_it_and_no_more(kept: Kept) -> None:
    await kept.publish(INSIDE, OUTSIDE)
    for role in ROLES.keys() - {"metrics"}:
        asked = {"name": role, "role": role, "within": f"list:{LIST}"}
        token = (await kept.do("POST", "/api-tokens", **asked)).json["token"]

        async def told(path: str, token: str = token) -> Answer:
            return await kept.site.plane.ask("GET", f"/api/v1/{path}", token=token)

        assert [one["name"] for one in (await told("lists")).json["items"]] == [LIST], role
        others = ("machines", "overview", "audit", "collections")
        assert {(await told(path)).status for path in others} == {404}, role
