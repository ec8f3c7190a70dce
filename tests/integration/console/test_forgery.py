"""S32, S37: no form of a stranger's page counts, and a stranger learns nothing."""

from __future__ import annotations

import re

import pytest

from patchtide import __version__
from patchtide.domain.access.principals import Gate, may_read
from patchtide.domain.access.rights import ROLES, Right, holds
from patchtide.server.operations import OPERATIONS
from patchtide.server.table import SAFE_METHODS, Operation, Plane
from tests.integration.console.visitor import ConsoleSite, Visitor

pytestmark = pytest.mark.anyio
FORMS = [o for o in OPERATIONS if o.plane is Plane.CONSOLE and o.method not in SAFE_METHODS]
PAGES = [
    o
    for o in OPERATIONS
    if o.plane is Plane.CONSOLE and o.method in SAFE_METHODS and "{" not in o.path
]
STRANGE: dict[str, dict[str, str | None]] = {
    "another origin": {"origin": "https://evil.example"},
    "another port of this host": {"origin": "https://site.example:9999"},
    "without TLS": {"origin": "http://site.example:8540"},
    "the origin of a sandbox": {"origin": "null"},
    "another site": {"sec_fetch_site": "cross-site"},
    "a neighbour of this site": {"sec_fetch_site": "same-site"},
    "another site that hides its origin": {"origin": None, "sec_fetch_site": "cross-site"},
    "a browser that says nothing": {"origin": None, "sec_fetch_site": None},
}


def test_there_are_forms_to_forge() -> None:
    assert {o.name for o in FORMS} >= {"sessions.sign-in", "console.act", "console.tokens-create"}


@pytest.mark.parametrize("headers", STRANGE.values(), ids=STRANGE)
async def test_every_form_from_a_strangers_page_is_refused(
    site: ConsoleSite, headers: dict[str, str | None]
) -> None:
    visitor = await site.signed_in()

    found = {o.name: (await visitor.post(o.path, **headers)).status for o in FORMS}

    assert found == {o.name: 403 for o in FORMS}


@pytest.mark.parametrize("token", ["", "0" * 64, "\N{SNOWMAN}"], ids=["none", "wrong", "no token"])
async def test_every_form_without_its_token_is_refused(site: ConsoleSite, token: str) -> None:
    visitor = await site.signed_in()

    found = {o.name: (await visitor.post(o.path, {"form_token": token})).status for o in FORMS}

    assert found == {o.name: 403 for o in FORMS}


async def test_the_token_of_somebody_else_is_none(site: ConsoleSite) -> None:
    visitor, other = await site.signed_in(), await site.signed_in("eve")

    found = {(await visitor.post(o.path, {"form_token": other.form_token})).status for o in FORMS}

    assert found == {403}


async def test_a_form_without_any_cookie_is_refused(site: ConsoleSite) -> None:
    visitor = site.visitor()
    await visitor.get("/sign-in")
    visitor.cookies.clear()

    assert (await visitor.post("/sign-in", {"name": "a", "password": "b"})).status == 403


async def test_a_forged_form_changes_nothing(site: ConsoleSite) -> None:
    visitor = await site.signed_in()

    await visitor.post("/tokens", {"uses": 9, "hours": 1}, origin="https://evil.example")

    assert list(site.storage.enrolment_tokens()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda o: o.name)
async def test_every_page_carries_the_guard(site: ConsoleSite, page: Operation) -> None:
    visitor = await site.signed_in()

    headers = (await visitor.get(page.path)).headers

    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


async def test_scripts_run_by_a_nonce_that_is_another_one_each_time(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    nonces = set()
    for _ in range(3):
        answer = await visitor.get("/machines")
        [nonce] = set(re.findall(r'nonce="([\w-]+)"', answer.body.decode()))
        assert f"script-src 'nonce-{nonce}';" in answer.headers["content-security-policy"]
        nonces.add(nonce)

    assert len(nonces) == 3


async def test_a_stranger_finds_the_door_and_nothing_else(site: ConsoleSite) -> None:
    """S37: an anonymous crawl from every address that is declared, and some that are not."""
    stranger = site.visitor()
    seen = set()
    guesses = ("/metrics", "/debug", "/docs", "/openapi.json", "/status", "/.git/config")
    for path in (*(o.path for o in PAGES), *guesses):
        answer = await stranger.get(path)
        assert __version__.encode() not in answer.body and "server" not in answer.headers
        if answer.status == 200:
            seen.add(path)
        else:
            # What programs ask is not led to the door, but told that a credential is needed.
            assert answer.status in ((401,) if path == "/metrics" else (303, 404))

    assert seen == {o.path for o in PAGES if o.policy is Gate.PUBLIC}


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_opens_the_pages_of_its_rights(site: ConsoleSite, role: str) -> None:
    visitor = await site.signed_in("somebody", role)

    found = {o.name: (await visitor.get(o.path)).status for o in PAGES}

    assert found == {o.name: _expected(o, role) for o in PAGES}


def _expected(page: Operation, role: str) -> int:
    if page.name in ("console.sign-in", "console.key"):
        return 303  # whoever is in goes on to the overview
    if not isinstance(page.policy, Right) or holds(ROLES[role], page.policy):
        return 200
    return 403 if may_read(ROLES[role], page.policy.kind) else 404


async def test_a_form_does_no_more_than_its_sender_may(site: ConsoleSite) -> None:
    auditor = await site.signed_in("ada", "auditor")
    [machine] = await site.machines("web-1")

    answers = {
        name: await auditor.post(path, fields)
        for name, path, fields in (
            ("machine", "/machines/act", {"act": "full-report", "machine": machine}),
            ("token", "/tokens", {"uses": 1, "hours": 1}),
            ("person", "/people", {"name": "eve", "role": "full-administrator"}),
        )
    }

    assert b"needs the right machines.modify" in answers["machine"].body
    assert {answers["token"].status, answers["person"].status} == {403}


async def test_a_token_of_the_interface_opens_no_page(site: ConsoleSite) -> None:
    token = await site.plane.token(role="full-administrator")

    answer = await site.plane.ask("GET", "/machines", token=token)

    assert answer.status == 303


async def test_a_browser_is_told_of_a_wrong_address_in_words(site: ConsoleSite) -> None:
    visitor: Visitor = await site.signed_in()

    answer = await visitor.get("/nowhere")

    assert answer.status == 404 and b"There is no such page" in answer.body
