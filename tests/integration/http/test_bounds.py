"""Which updates machines need decides nothing about rights: not who is reached, nor by whom."""

from __future__ import annotations

import asyncio
from typing import Any

from patchtide.domain.access.rights import Kind, Right, Verb
from tests.integration.http.test_collections import Keeper, at_a_site

NEEDY = "requires(list = spring) and name contains 1"


async def one_of_those(keeper: Keeper) -> tuple[str, str]:
    """Return a collection that asks what machines need, and one that is made of it."""
    asking = await keeper.make("Needy", query=NEEDY)
    return asking, await keeper.make("Outer", include=[asking])


async def _ask(keeper: Keeper, method: str, path: str, **document: Any) -> tuple[int, str]:
    asked = document or None
    answer = await keeper.plane.ask(method, f"/api/v1{path}", token=keeper.token, document=asked)
    return answer.status, (answer.json or {}).get("detail", "") if answer.body else ""


async def _person(keeper: Keeper, within: str) -> tuple[int, str]:
    return await _ask(keeper, "POST", "/users", name="eve", role="auditor", within=within)


def test_no_rights_end_and_nothing_is_of_tier_0_where_needed_updates_decide() -> None:
    async def story(keeper: Keeper) -> dict[str, Any]:
        asking, outer = await one_of_those(keeper)
        plain = await keeper.make("Plain", query="name contains web")
        held = await keeper.make("Held", include=[plain])
        zero = await keeper.make("Zero", names=["db-1"], tier_zero=True)
        handed = [await _person(keeper, place) for place in (asking, outer, held)]
        changes: dict[str, tuple[str, dict[str, Any]]] = {
            "asks": (plain, {"query": NEEDY}),
            "is made of it": (held, {"exclude": [asking]}),
            "names it": (plain, {"query": "collection = Outer"}),
            "marked": (outer, {"tier_zero": True}),
            "of tier 0": (zero, {"limiting": outer}),
            "else": (plain, {"query": "name contains db"}),
        }
        said = {}
        for name, (one, change) in changes.items():
            said[name] = (await keeper.do("PUT", f"/{one}", **change)).status
        said["made so"] = (await keeper.do("POST", name="New", query=NEEDY, tier_zero=True)).status
        said["made else"] = (await keeper.do("POST", name="New", query=NEEDY)).status
        return {"handed": [status for status, _ in handed], "why": handed[1][1], **said}

    assert at_a_site(story) == {
        "handed": [409, 409, 201],
        "why": "Outer is where rights end: who is in Needy cannot follow from which updates"
        " machines need (requires), which others decide",
        "asks": 409,
        "is made of it": 409,
        "names it": 409,
        "marked": 409,
        "of tier 0": 409,
        "else": 200,
        "made so": 409,
        "made else": 201,
    }


def test_who_is_shut_out_has_rights_there_when_let_in_again() -> None:
    async def story(keeper: Keeper) -> int:
        plain = await keeper.make("Plain", names=["db-1"])
        eve = await keeper.plane.ask(
            "POST", "/api/v1/users", token=keeper.token,
            document={"name": "eve", "role": "auditor", "within": plain},
        )  # fmt: skip
        await _ask(keeper, "POST", f"/users/{eve.json['id']}/disable")
        return (await keeper.do("PUT", f"/{plain}", query=NEEDY)).status

    assert at_a_site(story) == 409


def test_a_list_that_collections_ask_for_keeps_its_name_and_says_who_asks() -> None:
    async def told() -> list[tuple[int, str]]:
        keeper = Keeper()
        await keeper.begin()
        for name in ("spring", "autumn"):
            await _ask(keeper, "POST", "/lists", name=name)
        await keeper.make(
            "Needy", query='not requires(severity = important and list in (x, "SPRING"))'
        )
        full, keeper.token = (
            keeper.token,
            await keeper.plane.token(
                rights=frozenset({Right(Kind.CATALOG, Verb.READ), Right(Kind.CATALOG, Verb.MODIFY)})
            ),
        )
        said = [await _ask(keeper, "DELETE", "/lists/spring")]
        keeper.token = full
        return [
            *said,
            await _ask(keeper, "DELETE", "/lists/spring"),
            await _ask(keeper, "POST", "/lists/spring/name", to="summer"),
            await _ask(keeper, "DELETE", "/lists/autumn"),
        ]

    assert asyncio.run(told()) == [
        (409, "spring has to stay: a collection asks for it"),
        (409, "spring has to stay: Needy asks for it"),
        (409, "spring has to stay: Needy asks for it"),
        (204, ""),
    ]
