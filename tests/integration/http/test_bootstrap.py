"""S07: a fresh server is claimed once, with its code, and never again under any spelling."""

from __future__ import annotations

import asyncio

import pytest

from patchtide.domain.errors import Unavailable
from patchtide.server.bootstrap import is_done
from tests.integration.http.plane import CODE, AdministratorsPlane, Answer

PATH = "/api/v1/bootstrap"
SPELLINGS = [
    PATH,
    "/api/v1/bootstrap/",
    "/api/v1/bootstrap//",
    "//api/v1/bootstrap",
    "/api//v1/bootstrap",
    "/api/v1//bootstrap",
    "/./api/v1/bootstrap",
    "/api/v1/./bootstrap",
    "/api/v1/x/../bootstrap",
    "/api/v1/machines/../bootstrap",
    "/api/v1/bootstrap/x",
    "/api/v1/bootstrap/.",
    "/api/v1/bootstrap/..",
    "/api/v1/bootstrap.",
    "/api/v1/bootstrap.json",
    "/api/v1/bootstrap.html",
    "/api/v1/bootstrap;",
    "/api/v1/bootstrap;x=y",
    "/api/v1;x/bootstrap",
    "/api/v1/bootstrap%2f",
    "/api/v1%2fbootstrap",
    "/api%2fv1%2fbootstrap",
    "/api/v1%2Fbootstrap",
    "/api/v1/%62ootstrap",
    "/api/v1/bootstra%70",
    "/api/v1/%62%6f%6f%74%73%74%72%61%70",
    "/api/v1/bootstrap%00",
    "/api/v1/bootstrap%20",
    "/api/v1/bootstrap%0a",
    "/api/v1/bootstrap%23",
    "/api/v1/bootstrap%3f",
    "/api/v1/bootstrap%252f",
    "/api/v1/%2e/bootstrap",
    "/api/v1/%2e%2e/v1/bootstrap",
    "/api/v1/Bootstrap",
    "/API/V1/BOOTSTRAP",
    "/Api/v1/bootstrap",
    "/api/v1/bootstrap?",
    "/api/v1/bootstrap?x=y",
    "/api/v1\\bootstrap",
    "/api/v1/setup",
    "/bootstrap",
]
METHODS = ["POST", "GET", "PUT", "HEAD", "OPTIONS"]


async def claim(plane: AdministratorsPlane, code: str = CODE, path: str = PATH) -> Answer:
    return await plane.ask("POST", path, document={"code": code})


def test_the_code_becomes_the_first_administrators_token() -> None:
    async def story() -> tuple[int, list[str]]:
        plane = AdministratorsPlane()
        made = await claim(plane)
        me = await plane.ask("GET", "/api/v1/whoami", token=made.json["token"])
        assert is_done(plane.storage)
        return made.status, me.json["rights"]

    status, rights = asyncio.run(story())
    assert status == 201 and "accounts.administer" in rights


@pytest.mark.parametrize("path", SPELLINGS)
def test_a_claimed_server_is_not_claimed_again_under_any_spelling(path: str) -> None:
    async def story() -> tuple[set[int], int]:
        plane = AdministratorsPlane()
        await claim(plane)
        answers = [await plane.ask(m, path, document={"code": CODE}) for m in METHODS]
        return {a.status for a in answers}, len(plane.storage.api_tokens())

    assert asyncio.run(story()) == ({404}, 1)


def test_of_fifty_claims_at_once_one_succeeds() -> None:
    async def statuses() -> list[int]:
        plane = AdministratorsPlane()
        return sorted(a.status for a in await asyncio.gather(*(claim(plane) for _ in range(50))))

    assert asyncio.run(statuses()) == [201] + [404] * 49


def test_a_restart_with_a_new_code_claims_nothing_again() -> None:
    async def story() -> tuple[int, int]:
        first = AdministratorsPlane()
        await claim(first)
        second = AdministratorsPlane(storage=first.storage, code="another")
        return (await claim(second, "another")).status, len(first.storage.api_tokens())

    assert asyncio.run(story()) == (404, 1)


def test_a_lost_mark_does_not_open_a_server_that_has_tokens() -> None:
    async def status() -> int:
        plane = AdministratorsPlane()
        await plane.token(role="auditor")
        return (await claim(plane)).status

    assert asyncio.run(status()) == 404


@pytest.mark.parametrize("code", ["wrong", CODE.upper(), CODE + " ", CODE[:-1]])
def test_another_code_claims_nothing_and_uses_nothing_up(code: str) -> None:
    async def statuses() -> list[int]:
        plane = AdministratorsPlane()
        return [(await claim(plane, code)).status, (await claim(plane)).status]

    assert asyncio.run(statuses()) == [404, 201]


def test_without_a_code_not_even_the_machine_itself_claims() -> None:
    async def status() -> int:
        plane = AdministratorsPlane(code=None)
        answer = await plane.ask("POST", PATH, document={"code": ""}, client=("127.0.0.1", 1))
        return answer.status

    assert asyncio.run(status()) == 404


def test_a_claim_that_could_not_be_stored_may_be_tried_again() -> None:
    async def statuses() -> list[int]:
        plane = AdministratorsPlane()
        plane.storage.breaks = Unavailable()
        broken = await claim(plane)
        plane.storage.breaks = None
        return [broken.status, (await claim(plane)).status]

    assert asyncio.run(statuses()) == [503, 201]
