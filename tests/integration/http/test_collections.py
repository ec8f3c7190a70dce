"""Collections by the interface: what is let in, what is refused and in which words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from patchtide.domain.access.principals import TokenHolder
from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.errors import NotFound
from patchtide.server import machine_import
from patchtide.server.collection_checks import may_ask
from patchtide.server.described_reach import Redescribed
from patchtide.server.ports.clients import ClientState
from tests.integration.http.plane import AdministratorsPlane, Answer

T = TypeVar("T")


class Keeper:
    """An administrator at a site with three machines."""

    def __init__(self) -> None:
        self.plane = AdministratorsPlane()
        self.token = ""

    async def begin(self) -> None:
        self.token = await self.plane.token(role="full-administrator")
        for name in ("web-1", "web-2", "db-1"):
            await self.plane.machine(name, ClientState.ACTIVE)

    async def do(self, method: str, path: str = "", **document: Any) -> Answer:
        asked = document or None
        path = f"/api/v1/collections{path}"
        return await self.plane.ask(method, path, token=self.token, document=asked)

    async def make(self, name: str, **definition: Any) -> str:
        made = await self.do("POST", name=name, **definition)
        assert made.status == 201, made.json
        return str(made.json["id"])

    async def members(self, collection: object) -> list[str]:
        answer = await self.do("GET", f"/{collection}/machines")
        return [one["name"] for one in answer.json["items"]]


def at_a_site(story: Callable[[Keeper], Awaitable[T]]) -> T:
    async def told() -> T:
        keeper = Keeper()
        await keeper.begin()
        return await story(keeper)

    return asyncio.run(told())


def test_a_collection_has_what_its_definition_says() -> None:
    async def story(keeper: Keeper) -> dict[str, list[str]]:
        web = await keeper.make("Web", names=["web-1", "web-2", "web-1"])
        asking = await keeper.make("Asking", query="name contains 1")
        rest = await keeper.make("Rest", include=[str(ALL_MACHINES)], exclude=[web])
        both = await keeper.make("Both", include=[asking, rest], limiting=web)
        found = {"before": await keeper.members(both)}
        await keeper.do("POST", f"/{web}/removals", names=["web-1"])
        await keeper.do("PUT", f"/{asking}", forget=["query"])
        everybody = await keeper.members(ALL_MACHINES)
        return found | {
            "rest": await keeper.members(rest),
            "asking": await keeper.members(asking),
            "all": everybody,
        }

    assert at_a_site(story) == {
        "before": ["web-1"],
        "rest": ["db-1", "web-1"],
        "asking": [],
        "all": ["db-1", "web-1", "web-2"],
    }


def test_a_circle_is_refused_with_the_way_round() -> None:
    async def story(keeper: Keeper) -> Answer:
        one = await keeper.make("One")
        two = await keeper.make("Two", include=[one])
        three = await keeper.make("Three", limiting=two)
        return await keeper.do("PUT", f"/{one}", exclude=[three])

    refused = at_a_site(story)

    assert refused.status == 400
    said = "goes in a circle: One excludes Three is limited to Two includes One"
    assert refused.json["problems"] == [{"where": "exclude", "what": said}]


def test_what_others_use_cannot_be_deleted_and_they_are_named() -> None:
    async def story(keeper: Keeper) -> tuple[Answer, Answer]:
        one = await keeper.make("One")
        two = await keeper.make("Two", include=[one])
        await keeper.make("Three", limiting=one)
        refused = await keeper.do("DELETE", f"/{one}")
        return refused, await keeper.do("DELETE", f"/{two}")

    refused, done = at_a_site(story)

    assert (refused.status, done.status) == (409, 204)
    assert set(refused.json["detail"].removeprefix("One is in use: ").split("; ")) == {
        "Two includes it",
        "Three is limited to it",
    }


def test_a_collection_asks_for_another_by_its_name_which_stays() -> None:
    async def story(keeper: Keeper) -> dict[str, Any]:
        web = await keeper.make("Web servers", names=["web-1", "web-2"])
        first = await keeper.make("First", query='collection = "web SERVERS" and name contains 1')
        rest = await keeper.make("Rest", query="collection != First")
        found = [await keeper.members(one) for one in (first, rest)]
        await keeper.do("POST", f"/{web}/removals", names=["web-1"])
        found += [await keeper.members(one) for one in (first, rest)]
        said = {
            "round": await keeper.do("PUT", f"/{web}", query="collection in (Rest, First)"),
            "renamed": await keeper.do("PUT", f"/{web}", name="Webs"),
            "deleted": await keeper.do("DELETE", f"/{web}"),
            "unknown": await keeper.do("POST", name="X", query='collection = "Web server"'),
        }
        asked = "/api/v1/machines?query=collection%20%3D%20%22web%20servers%22"
        listed = await keeper.plane.ask("GET", asked, token=keeper.token)
        completing = "/api/v1/machine-query-completions?position=13&text=collection%20%3D%20"
        offered = await keeper.plane.ask("GET", completing, token=keeper.token)
        return {
            "found": found,
            "listed": [one["name"] for one in listed.json["items"]],
            "offered": [one["text"] for one in offered.json["items"]],
            **{key: a.json.get("problems") or a.json["detail"] for key, a in said.items()},
        }

    assert at_a_site(story) == {
        "found": [["web-1"], ["db-1", "web-2"], [], ["db-1", "web-1", "web-2"]],
        "listed": ["web-2"],
        "offered": ['"All machines"', "First", "Rest", '"Web servers"'],
        "round": [
            {
                "where": "query",
                "what": "goes in a circle: Web servers asks for First asks for Web servers",
            }
        ],
        "renamed": "Web servers has to be called so: First asks for it",
        "deleted": "Web servers is in use: First asks for it",
        "unknown": [
            {
                "where": "line 1, column 14",
                "what": "there is no collection `Web server`; did you mean `Web servers`?",
            }
        ],
    }


def test_whoever_comes_is_among_all_machines_that_are_asked_for() -> None:
    async def story(keeper: Keeper) -> list[list[str]]:
        asking = await keeper.make("Asking", query='collection = "All machines"')
        before = await keeper.members(asking)
        await keeper.plane.machine("new-1", ClientState.ACTIVE)
        return [before, await keeper.members(asking)]

    before, after = at_a_site(story)
    assert set(after) - set(before) == {"new-1"} and len(before) == 3


def test_who_may_not_read_collections_asks_for_none_by_name() -> None:
    rights = frozenset({Right(Kind.MACHINES, Verb.READ)})
    holder = TokenHolder(token_id="x", name="x", rights=rights, expires_at=None)

    may_ask(holder, None, '"collection" and name = web-1')
    with pytest.raises(NotFound):
        may_ask(holder, None, "restart or not collection = Web")


def test_who_is_in_a_collection_that_rights_end_at_is_said_by_who_hands_rights_on() -> None:
    async def story(keeper: Keeper) -> tuple[list[int], str, list[str]]:
        inner = await keeper.make("Inner", names=["web-1"])
        outer = await keeper.make("Outer", include=[inner])
        free = await keeper.make("Free")
        left = await keeper.make("Left")
        administrator = keeper.token
        eve = {"name": "eve", "rights": [f"machines.delete@{left}"]}
        made = await keeper.plane.ask("POST", "/api/v1/users", token=administrator, document=eve)
        path = f"/api/v1/users/{made.json['id']}/disable"
        assert (await keeper.plane.ask("POST", path, token=administrator)).status < 300
        await keeper.plane.token(rights=frozenset({Right(Kind.MACHINES, Verb.DELETE, outer)}))
        keeper.token = await keeper.plane.token(role="engineer")
        refused = [
            await keeper.do("POST", f"/{inner}/machines", names=["db-1"]),
            await keeper.do("POST", f"/{outer}/removals", names=["web-1"]),
            await keeper.do("PUT", f"/{inner}", query="name = db-1"),
            await keeper.do("POST", f"/{left}/machines", names=["db-1"]),
        ]
        done = [
            await keeper.do("PUT", f"/{outer}", description="Rights end here."),
            await keeper.do("POST", f"/{free}/machines", names=["db-1"]),
        ]
        keeper.token = administrator
        done.append(await keeper.do("POST", f"/{inner}/machines", names=["web-2"]))
        statuses = [answer.status for answer in (*refused, *done)]
        return statuses, refused[0].json["detail"], await keeper.members(outer)

    statuses, told, members = at_a_site(story)

    assert (statuses, members) == ([403, 403, 403, 403, 200, 200, 200], ["web-1", "web-2"])
    assert told.startswith("somebody has rights within Outer")


def test_what_a_collection_asks_for_where_rights_end_is_said_by_who_hands_rights_on() -> None:
    async def story(keeper: Keeper) -> list[int]:
        asked = await keeper.make("Web", query="tag = web and not owner = nobody")
        outer = await keeper.make("Outer", include=[asked])
        machine = str(await keeper.plane.machine("web-7"))
        limited = frozenset({Right(Kind.MACHINES, Verb.DELETE, outer)})
        everywhere = frozenset({Right(Kind.MACHINES, Verb.MODIFY)})
        widening = await keeper.plane.token(rights=limited | everywhere)

        async def describe(token: str, **said: object) -> int:
            document = {"machines": [machine], **said}
            path = "/api/v1/machine-descriptions"
            return (await keeper.plane.ask("POST", path, token=token, document=document)).status

        async def take_in(token: str, csv: str) -> int:
            path, document = "/api/v1/machine-imports", {"csv": csv, "expect": True}
            return (await keeper.plane.ask("POST", path, token=token, document=document)).status

        return [
            await describe(widening, add_tag=["web"]),
            await describe(widening, owner="nobody"),
            await take_in(widening, "name,tags\nweb-7,web\n"),
            await take_in(widening, "name,tags\nweb-8,web\n"),
            await describe(widening, add_tag=["other"], owner="maria"),
            await take_in(widening, "name,location\nweb-7,cellar\n"),
            await describe(keeper.token, add_tag=["web"]),
            await describe(widening, remove_tag=["web"]),
        ]

    assert at_a_site(story) == [403, 403, 403, 403, 200, 200, 200, 403]


def test_only_what_rights_end_at_is_looked_at_and_a_file_is_refused_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at: set[str] = set()

    def looking(query: Redescribed, text: str) -> bool:
        looked_at.add(text)
        return may_move(query, text)

    may_move = Redescribed.may_move
    monkeypatch.setattr(Redescribed, "may_move", looking)
    monkeypatch.setattr(machine_import, "PART", 1)

    async def story(keeper: Keeper) -> tuple[int, list[str]]:
        for at in range(3):
            await keeper.make(f"Other {at}", query=f"tag = other{at}")
        asked = await keeper.make("Web", query="tag = web")
        outer = await keeper.make("Outer", include=[asked], query="owner = web")
        limited = frozenset({Right(Kind.MACHINES, Verb.DELETE, outer)})
        everywhere = frozenset({Right(Kind.MACHINES, Verb.READ), Right(Kind.MACHINES, Verb.MODIFY)})
        token = await keeper.plane.token(rights=limited | everywhere)
        names = [f"m-{at}" for at in range(3)]
        machines = [str(await keeper.plane.machine(name)) for name in names]
        csv = "name,tags\nm-0,calm\nm-1,calm\nm-2,web\n"
        path = "/api/v1/machine-imports"
        refused = await keeper.plane.ask("POST", path, token=token, document={"csv": csv})
        shown = [
            (await keeper.plane.ask("GET", f"/api/v1/machines/{one}", token=token)).json
            for one in machines
        ]
        return refused.status, [tag for one in shown for tag in one["tags"]]

    assert at_a_site(story) == (403, [])
    assert looked_at == {"tag = web", "owner = web"}


def test_every_machine_that_nobody_knows_is_named() -> None:
    async def story(keeper: Keeper) -> Answer:
        return await keeper.do("POST", name="Web", names=["web-1", "web-9", "db-9"])

    assert at_a_site(story).json["problems"] == [
        {"where": "names", "what": "'web-9': no machine is called so"},
        {"where": "names", "what": "'db-9': no machine is called so"},
    ]


def test_what_cannot_be_is_refused() -> None:
    async def story(keeper: Keeper) -> dict[str, int]:
        web = await keeper.make("Web")
        changed = await keeper.do("PUT", f"/{web}", description="of the shop", revision=1)
        return {
            "changed": changed.status,
            "a name that is taken": (await keeper.do("POST", name="WEB")).status,
            "the name of all machines": (await keeper.do("POST", name="all machines")).status,
            "one that somebody changed": (
                await keeper.do("PUT", f"/{web}", description="x", revision=1)
            ).status,
            "a collection that is not there": (
                await keeper.do("PUT", f"/{web}", include=["0" * 32])
            ).status,
            "a query that is none": (await keeper.do("PUT", f"/{web}", query="x = y")).status,
            "said and taken back": (
                await keeper.do("PUT", f"/{web}", query="restart", forget=["query"])
            ).status,
            "all machines": (await keeper.do("DELETE", f"/{ALL_MACHINES}")).status,
        }

    assert at_a_site(story) == {
        "changed": 200,
        "a name that is taken": 409,
        "the name of all machines": 409,
        "one that somebody changed": 409,
        "a collection that is not there": 400,
        "a query that is none": 400,
        "said and taken back": 400,
        "all machines": 409,
    }
