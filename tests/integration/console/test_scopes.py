"""S17: who may see one collection learns nothing of the other machines, not even how many."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from html import unescape
from typing import Any
from uuid import UUID

import msgspec
import pytest

from patchtide.adapters.console import words
from patchtide.domain.access.grants import limited
from patchtide.domain.access.rights import MACHINE, ROLES, Kind, Right, Verb, rights_of
from patchtide.domain.collections.definitions import Definition
from patchtide.server.operations import OPERATIONS
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.table import SAFE_METHODS, Operation
from patchtide.wire.inventory import package_list
from patchtide.wire.messages import EventV1
from tests.integration.console.test_single_rights import Furnished
from tests.integration.console.visitor import ConsoleSite, Visitor
from tests.integration.http.plane import Answer
from tests.simulator.catalogs import a_leaf, a_scan, an_update_id, some_details

pytestmark = pytest.mark.anyio
INSIDE, OUTSIDE = "mark-inside", "mark-outside"
WEB = "00000000-0000-0000-0000-000000000001"
READINGS = [o for o in OPERATIONS if o.plane.is_interface and o.method in SAFE_METHODS]
HELD = limited(ROLES["full-administrator"], WEB)


class Scoped(Furnished):
    """A site in which one machine is in the collection, and whoever asks may see that one."""

    collection = UUID(WEB)

    async def come(self, *names: str) -> None:
        """Enrol machines outside the collection, which need what the one inside needs."""
        site = self.site
        for name in names:
            machine = await site.plane.machine(name)
            [client] = site.storage.clients_of([machine.bytes])
            told = msgspec.msgpack.encode([EventV1(at=1, code="installed", update=1)])
            report = a_scan(client.number, 1, required=[1], events=told)
            await site.storage.accept([report], now=site.clock.now().timestamp())

    async def others(self) -> None:
        """Have collections that are not his: one that his is made of, and one that has all."""
        keeper = await self.site.plane.token(role="full-administrator")

        async def do(method: str, path: str, **document: object) -> Answer:
            path = f"/api/v1{path}"
            answer = await self.site.plane.ask(method, path, token=keeper, document=document)
            assert answer.status < 300, answer.body
            return answer

        made = await do("POST", "/collections", name=OUTSIDE, query="name contains mark")
        other = made.json["id"]
        await do("PUT", f"/collections/{WEB}", include=[other], query=f'collection = "{OUTSIDE}"')
        at_night = {"name": f"{OUTSIDE} window", "comes": "days", "at": "22:00"}
        await do("POST", f"/collections/{other}/windows", **at_night)
        frozen = {"begins": "2026-03-01 00:00", "ends": "2026-04-01 00:00", "reason": OUTSIDE}
        await do("POST", f"/collections/{other}/freezes", **frozen)
        await do("PUT", "/business-hours", location=OUTSIDE, ends="17:00")
        await do("PUT", f"/settings/agents/collections/{other}", poll_s=900)
        # Only the one machine is his all the same.
        await do("PUT", f"/collections/{WEB}", exclude=[(await self.all_but_inside(do))])

    async def all_but_inside(self, do: Callable[..., Awaitable[Answer]]) -> str:
        made = await do(
            "POST", "/collections", name=f"{OUTSIDE}-rest", query=f"not name = {INSIDE}"
        )
        return str(made.json["id"])

    async def answers(self, token: str) -> dict[str, Answer]:
        return {
            o.name: await self.site.plane.ask("GET", self.path(o), token=token) for o in READINGS
        }


@pytest.fixture
async def scoped(site: ConsoleSite) -> Scoped:
    machine = await site.plane.machine(INSIDE)
    [client] = site.storage.clients()
    leaf, told = a_leaf(1, "toy"), some_details("toy")
    await site.catalog.publish([leaf], details=[told])
    await site.storage.accept(
        [a_scan(client.number, 1, required=[1])], now=site.clock.now().timestamp()
    )
    collection = StoredCollection(
        definition=Definition(id=UUID(WEB), name="web"),
        revision=1,
        by="test",
        at=site.clock.now(),
    )

    def decided(tx: object) -> None:
        tx.collections.add(collection)  # type: ignore[attr-defined]
        tx.collections.put_in(collection.id, [client.number])  # type: ignore[attr-defined]
        tx.note(WEB.replace("-", ""))  # type: ignore[attr-defined]

    await site.storage.decide("test", "collections.create", decided, now=site.clock.now())
    return Scoped(site, machine, an_update_id("toy"))


@pytest.mark.parametrize("place", [WEB, ""], ids=["a collection", "a machine"])
async def test_no_answer_changes_with_the_machines_outside(scoped: Scoped, place: str) -> None:
    held = limited(ROLES["full-administrator"], place or f"{MACHINE}{scoped.machine}")
    token = await scoped.site.plane.token(rights=held)
    before = await scoped.answers(token)
    await scoped.come(OUTSIDE, "mark-outside-2", "mark-outside-3")
    after = await scoped.answers(token)

    assert {name for name in before if (before[name].body, before[name].status) != (
        after[name].body, after[name].status)} == set()  # fmt: skip
    listed = after["machines.list"].json
    assert [one["name"] for one in listed["items"]] == [INSIDE] and listed["total"] == 1
    assert after["overview"].json["machines"]["active"] == 1
    [update] = after["updates.list"].json["items"]
    assert update["required"] == 1


async def test_a_role_for_one_machine_is_handed_on_where_there_is_that_machine(
    scoped: Scoped,
) -> None:
    plane = scoped.site.plane
    token = await plane.token(role="full-administrator")
    asked = {"name": "maria", "role": "help-desk"}

    def create(machine: UUID) -> Awaitable[Answer]:
        document = {**asked, "within": f"{MACHINE}{machine}"}
        return plane.ask("POST", "/api/v1/users", token=token, document=document)

    refused = await create(UUID(int=9))
    assert (refused.status, "no such machine" in str(refused.json)) == (400, True)
    assert (await create(scoped.machine)).status == 201
    keeper = await scoped.visitor(*ROLES["full-administrator"])
    page = (await keeper.get("/people")).body.decode()
    assert f"{words.role('help-desk')} within {INSIDE}" in page


async def test_whoever_hands_out_a_role_at_a_place_is_told_what_of_it_is_left_out(
    scoped: Scoped,
) -> None:
    plane = scoped.site.plane
    token = await plane.token(role="full-administrator")
    here = {"role": "help-desk", "within": f"{MACHINE}{scoped.machine}"}

    async def answer(method: str, path: str, **document: str) -> Any:
        asked = document or None
        return (await plane.ask(method, f"/api/v1/{path}", token=token, document=asked)).json

    made = await answer("POST", "users", name="maria", **here)
    key = await answer("POST", "api-tokens", name="key", **here)
    listed = await answer("GET", "users")
    everywhere = await answer("POST", f"users/{made['id']}/role", role="help-desk")
    again = await answer("POST", f"users/{made['id']}/role", **here)

    lost = [
        f"{one}@{here['within']}" for one in ("alerts.approve", "alerts.read", "collections.read")
    ]
    told = [one for one in listed["items"] if one["name"] == "maria"]
    assert [one["left_out"] for one in (made, key, *told, again)] == [lost] * 4
    assert everywhere["left_out"] == []


async def test_rights_for_one_machine_are_handed_out_by_its_name_in_the_browser(
    scoped: Scoped,
) -> None:
    await scoped.come(OUTSIDE)
    keeper = await scoped.visitor(*ROLES["full-administrator"])
    limited_keeper = await scoped.visitor(*HELD, *rights_of(["accounts.read", "accounts.create"]))
    maria = {"name": "maria", "role": "help-desk", "machine": INSIDE}

    async def offered(who: Visitor, typed: str) -> list[str]:
        page = (await who.get(f"/machine-names?machine={typed}")).body.decode()
        return re.findall(r'value="([^"]*)"', page)

    assert await offered(keeper, "IN") == [INSIDE]
    assert await offered(keeper, "mark") == [INSIDE, OUTSIDE]
    assert await offered(limited_keeper, "mark") == [INSIDE]
    for who in (keeper, limited_keeper):
        await who.get("/people")
    made = await keeper.post("/people", maria)
    refused = [
        await keeper.post("/people", {**maria, "name": "eve", **wrong})
        for wrong in ({"machine": "nobody"}, {"within": WEB})
    ]
    hidden = await limited_keeper.post("/people", {**maria, "name": "eve", "machine": OUTSIDE})
    page = (await keeper.get("/people")).body.decode()
    [ola] = re.findall(
        r'name="user" value="(\w+)" form="bulk" id="[^"]*" aria-label="Choose maria"', page
    )
    sure = await keeper.post(
        "/people/act", {"act": "role", "user": ola, "role": "auditor", "machine": OUTSIDE}
    )
    place = re.findall(r'name="within" value="([^"]*)"', sure.body.decode())
    said = {"act": "role", "user": ola, "role": "auditor", "within": place[0], "sure": "yes"}
    done = await keeper.post("/people/act", said)
    after = (await keeper.get("/people")).body.decode()

    assert (made.status, f"{words.role('help-desk')} within {INSIDE}" in page) == (200, True)
    assert "nothing there: <code>alerts.approve</code>, <code>" in made.body.decode()
    assert [answer.status for answer in (*refused, hidden)] == [400, 400, 400]
    assert "no machine is called so" in refused[0].body.decode()
    assert done.status == 303 and f"{words.role('auditor')} within {OUTSIDE}" in after


async def test_a_role_is_handed_out_at_a_list_in_the_browser(scoped: Scoped) -> None:
    token = await scoped.site.plane.token(role="full-administrator")
    await scoped.site.plane.ask("POST", "/api/v1/lists", token=token, document={"name": "october"})
    keeper = await scoped.visitor(*ROLES["full-administrator"])
    stranger = await scoped.visitor(*rights_of(["accounts.read", "accounts.create"]))
    [offered, hidden] = [(await who.get("/people")).body.decode() for who in (keeper, stranger)]
    said = {"name": "ola", "role": "auditor", "within": "list:october"}
    [made, refused] = [await who.post("/people", said) for who in (keeper, stranger)]

    assert ["Only the list october" in page for page in (offered, hidden)] == [True, False]
    assert (made.status, refused.status) == (200, 403)
    assert (
        f"{words.role('auditor')} on the list october"
        in (await keeper.get("/people")).body.decode()
    )


async def test_only_what_can_be_kept_within_is_answered(scoped: Scoped) -> None:
    answers = await scoped.answers(await scoped.site.plane.token(rights=HELD))
    opened = {name for name, answer in answers.items() if answer.status < 300}
    by_right = {o.name for o in READINGS if isinstance(o.policy, Right)}

    narrowing = {o.name for o in READINGS if o.narrows}

    assert opened & by_right <= narrowing
    assert {answers[name].status for name in by_right - narrowing} <= {403, 404}


async def test_no_page_names_a_machine_outside(scoped: Scoped) -> None:
    await scoped.come(OUTSIDE)
    visitor = await scoped.visitor(*HELD)
    pages = [*scoped.pages(), "/machines?q=outside", "/query-completions?text=list"]
    answers = {path: (await visitor.get(path)).body.decode() for path in pages}

    assert {path for path, body in answers.items() if OUTSIDE in body} == set()
    assert INSIDE in answers["/machines"]
    assert (await visitor.get("/")).status == 200


async def test_of_collections_he_sees_his_own_and_no_name_of_another(scoped: Scoped) -> None:
    await scoped.come(OUTSIDE)
    await scoped.others()
    visitor, token = await scoped.visitor(*HELD), await scoped.site.plane.token(rights=HELD)
    answers = await scoped.answers(token)
    pages = {path: (await visitor.get(path)).body.decode() for path in scoped.pages()}

    listed = answers["collections.list"].json
    assert [(one["name"], one["machines"]) for one in listed["items"]] == [
        ("All machines", 1), ("web", 1),
    ]  # fmt: skip
    shown = answers["collections.show"].json
    assert (shown["query"], shown["include"], shown["is_told_in_part"]) == ("", [], True)
    assert [m["name"] for m in answers["collections.members"].json["items"]] == [INSIDE]
    assert {name for name, answer in answers.items() if OUTSIDE.encode() in answer.body} == set()
    assert {path for path, body in pages.items() if OUTSIDE in body} == set()
    assert "by its query" in pages[f"/machines/{scoped.machine}"]
    page = pages[f"/collections/{WEB}"]
    assert INSIDE in page and "what other collections say" in page


@pytest.mark.parametrize("held", [
    {Right(Kind.MACHINES, Verb.READ), Right(Kind.COLLECTIONS, Verb.READ, WEB)},
    {Right(Kind.MACHINES, Verb.READ, WEB), Right(Kind.COLLECTIONS, Verb.READ)},
], ids=["all machines, one collection", "one collection's machines, all collections"])  # fmt: skip
async def test_one_collection_as_an_object_is_all_that_he_sees_of_collections(
    scoped: Scoped, held: set[Right]
) -> None:
    await scoped.come(f"x-{INSIDE}")
    await scoped.others()
    visitor, token = await scoped.visitor(*held), await scoped.site.plane.token(rights={*held})
    answers = await scoped.answers(token)
    pages = {path: (await visitor.get(path)).body.decode() for path in scoped.pages()}

    assert [c["name"] for c in answers["collections.list"].json["items"]] == ["All machines", "web"]
    assert {name for name, answer in answers.items() if OUTSIDE.encode() in answer.body} == set()
    assert {path for path, body in pages.items() if OUTSIDE in body} == set()


@pytest.mark.parametrize("role", ["full-administrator", "help-desk"])
async def test_every_place_that_he_is_shown_is_open_to_him(scoped: Scoped, role: str) -> None:
    visitor = await scoped.visitor(*limited(ROLES[role], WEB))
    await visitor.get("/updates")
    kept = await visitor.post("/searches", {"name": "mine", "query": "toy", "whose": "own"})
    assert kept.status == 303
    pages = ["/", "/machines", f"/machines/{scoped.machine}", "/updates?q=toy", "/lists"]
    pages += ["/history", "/targets", "/reports", "/reports/by-update", "/searches"]
    pages += ["/collections", f"/collections/{WEB}", f"/collections/{WEB}/calendar"]
    pages += ["/business-hours"]
    shown = [(await visitor.get(path)).body.decode() for path in pages]
    links = {link for page in shown for link in re.findall(r'href="(/[^"#]*)"', page)}
    answers = {link: await visitor.get(unescape(link)) for link in links if "/static/" not in link}

    assert {link: a.status for link, a in answers.items() if a.status >= 400} == {}


async def test_a_query_goes_on_with_what_machines_inside_have(scoped: Scoped) -> None:
    await scoped.come(OUTSIDE)
    storage, now = scoped.site.storage, scoped.site.clock.now().timestamp()
    for client in storage.clients():
        body = package_list([(f"{client.name}-pkg", "1", "all")])
        digest, number = sha256(body).digest(), client.number
        await storage.put_inventory(number, kind="packages", digest=digest, body=body, now=now)
    token = await scoped.site.plane.token(rights=HELD)
    everybodys = await scoped.site.plane.token(role="full-administrator")

    async def offered(holder: str, text: str) -> set[str]:
        path = f"/api/v1/machine-query-completions?text={text}"
        answer = await scoped.site.plane.ask("GET", path, token=holder)
        return {one["text"] for one in answer.json["items"]}

    assert any("mark-outside-pkg" in one for one in await offered(everybodys, "package(mark"))
    assert await offered(token, "package(mark") == {"mark-inside-pkg"}


async def test_a_machine_outside_is_as_one_that_does_not_exist(scoped: Scoped) -> None:
    await scoped.come(OUTSIDE)
    plane, token = scoped.site.plane, await scoped.site.plane.token(rights=HELD)
    [outside] = [c.uuid.hex() for c in scoped.site.storage.clients() if c.name == OUTSIDE]
    got: dict[str, set[tuple[int, bytes]]] = {}
    for operation in OPERATIONS:
        if operation.plane.is_interface and "machine" in operation.parameters:
            document = {"rule": "always"} if operation.name == "machines.whatif" else None
            for id in (outside, "0" * 32):
                path = _path(scoped, operation, id)
                answer = await plane.ask(operation.method, path, token=token, document=document)
                said = answer.body.replace(id.encode(), b"that")
                got.setdefault(operation.name, set()).add((answer.status, said))

    assert {name: answers for name, answers in got.items() if len(answers) > 1} == {}
    assert {status for answers in got.values() for status, _ in answers} <= {403, 404}


async def test_nobody_is_within_a_collection_before_what_may_keep_him_out_is_known(
    scoped: Scoped, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, plane = scoped.site.plane.context.fleet, scoped.site.plane
    token = await plane.token(rights=HELD)
    monkeypatch.setattr(fleet.facts, "is_whole", False)
    monkeypatch.setattr(fleet, "follow_facts", lambda: None)

    assert (await plane.ask("GET", "/api/v1/machines", token=token)).status == 503

    monkeypatch.undo()
    assert (await plane.ask("GET", "/api/v1/machines", token=token)).status == 200


async def test_what_is_asked_of_several_is_done_to_none_if_one_is_outside(scoped: Scoped) -> None:
    await scoped.come(OUTSIDE)
    plane, token = scoped.site.plane, await scoped.site.plane.token(rights=HELD)
    both = [c.uuid.hex() for c in scoped.site.storage.clients()]

    asked = {"machines": both, "owner": "me"}
    answers = [
        await plane.ask("POST", "/api/v1/machine-descriptions", token=token, document=asked),
        await plane.ask("POST", "/api/v1/scans", token=token, document={"machines": both}),
    ]

    assert [answer.status for answer in answers] == [404, 404]
    assert {c.described.owner for c in scoped.site.storage.clients()} == {""}


async def test_within_his_collection_he_does_what_his_role_says(scoped: Scoped) -> None:
    plane = scoped.site.plane
    token = await plane.token(rights=limited(ROLES["help-desk"], WEB))

    quarantined = await plane.ask(
        "POST", f"/api/v1/machines/{scoped.machine}/quarantine", token=token
    )
    retired = await plane.ask("DELETE", f"/api/v1/machines/{scoped.machine}", token=token)

    assert (quarantined.status, retired.status) == (204, 403), quarantined.body


async def test_he_hands_on_what_he_has_of_it_and_no_more(scoped: Scoped) -> None:
    plane = scoped.site.plane
    token = await plane.token(rights=HELD | {Right(Kind.ACCOUNTS, Verb.CREATE)})

    async def made(**asked: object) -> int:
        document = {"name": "n", **asked}
        return (
            await plane.ask("POST", "/api/v1/api-tokens", token=token, document=document)
        ).status

    assert await made(role="engineer", within=WEB) == 201
    assert await made(rights=[f"machines.read@{WEB}"]) == 201
    assert await made(role="engineer") == 403
    assert await made(rights=["machines.read"]) == 403
    assert await made(role="engineer", within=WEB.replace("1", "2")) == 403


def _path(scoped: Scoped, operation: Operation, machine: str) -> str:
    return scoped.path(operation).replace(str(scoped.machine), machine)


async def test_settings_tell_nothing_of_machines_to_who_may_not_read_them(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in("maria")
    await visitor.post("/collections", {"name": "Web", "act": "create"})
    now = site.clock.now()
    eve = await site.person("eve", "auditor")
    await site.storage.decide(
        "x", "x", lambda tx: tx.set_rights(eve, ["catalog.administer", "collections.read"]), now=now
    )
    reader = site.visitor()
    await reader.sign_in("eve")

    pages = [await who.get("/settings") for who in (visitor, reader)]

    assert [page.status for page in pages] == [200, 200]
    assert ["by-collection" in page.body.decode() for page in pages] == [True, False]
