"""S18: a browser that was left open hands on no rights until its person proves who she is."""

from __future__ import annotations

import re
from html import unescape

import pytest

from patchtide.server.operations import OPERATIONS
from tests.integration.console.visitor import PASSWORD, ConsoleSite, Visitor
from tests.integration.http.plane import Answer

pytestmark = pytest.mark.anyio
NEW = {"name": "jo", "role": "deployer", "within": ""}
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
LONG = {"minutes": 6}


async def names(site: ConsoleSite) -> list[str]:
    return [user.name for user in site.storage.users()]


async def left_open(site: ConsoleSite) -> Visitor:
    visitor = await site.signed_in()
    site.clock.advance(**LONG)
    return visitor


def hidden(page: Answer, to: str = "/prove") -> dict[str, str]:
    """Return what the page's form for that address sends by itself, but for its token."""
    form = page.body.decode().partition(f'action="{to}"')[2].partition("</form>")[0]
    pairs = [(name, unescape(value)) for name, value in _HIDDEN.findall(form)]
    found = dict(pairs)
    assert len(found) == len(pairs), "said twice, the first would count"
    assert found.pop("form_token", "")
    return found


async def test_a_stale_session_is_asked_and_then_does_what_it_was_told(site: ConsoleSite) -> None:
    visitor = await left_open(site)

    asked = await visitor.post("/people", NEW)
    before = await names(site)
    proved = await visitor.post("/prove", {**hidden(asked), "proof_password": PASSWORD})
    done = await visitor.post("/people", hidden(proved, "/people"))

    assert (asked.status, "Is it you?" in asked.body.decode(), before) == (200, True, ["maria"])
    assert (proved.status, hidden(proved, "/people")) == (200, NEW)
    assert "A link for" in done.body.decode()
    assert await names(site) == ["jo", "maria"]
    assert [e.operation for e in site.storage.audit()][-2:] == ["sessions.prove", "users.create"]


async def test_a_wrong_password_proves_nothing_and_keeps_the_form(site: ConsoleSite) -> None:
    visitor = await left_open(site)
    asked = await visitor.post("/people", NEW)

    refused = await visitor.post("/prove", {**hidden(asked), "proof_password": "guess"})
    still = await visitor.post("/people", NEW)

    assert (refused.status, hidden(refused)) == (401, hidden(asked))
    assert "guess" not in refused.body.decode()
    assert "Is it you?" in still.body.decode()


async def test_what_proves_it_goes_on_nowhere_and_no_page_tells_it(site: ConsoleSite) -> None:
    visitor = await left_open(site)
    proof = {"proof_to": "/people", "proof_password": PASSWORD, "proof_credential": "{}"}

    # A browser that repeats what it once sent along, as a reload does
    asked = await visitor.post("/people", {**NEW, **proof})
    guessed = await visitor.post("/prove", {**hidden(asked), "proof_password": "guess"})
    proved = await visitor.post("/prove", {**hidden(asked), "proof_password": PASSWORD})

    assert hidden(asked) == hidden(guessed) == {**NEW, "proof_to": "/people"}
    assert (guessed.status, hidden(proved, "/people")) == (401, NEW)
    for page in (asked, guessed, proved):
        assert PASSWORD not in page.body.decode()
        assert "location" not in page.headers, "it would have the browser send all of it again"


async def test_guessing_there_ends_soon(site: ConsoleSite) -> None:
    visitor = await left_open(site)
    asked = await visitor.post("/people", NEW)

    statuses = [
        (await visitor.post("/prove", {**hidden(asked), "proof_password": "guess"})).status
        for _ in range(6)
    ]

    assert statuses == [401] * 5 + [429]


async def test_a_proof_leads_to_no_other_host(site: ConsoleSite) -> None:
    visitor = await left_open(site)
    await visitor.get("/account")

    fields = {"proof_to": "https://evil.example/", "proof_password": PASSWORD}
    proved = await visitor.post("/prove", fields)

    assert proved.status == 200
    assert "evil" not in proved.body.decode()
    assert hidden(proved, "/") == {}


async def test_many_at_once_wait_for_one_proof(site: ConsoleSite) -> None:
    people = [await site.person(name, "deployer") for name in ("ann", "bob")]
    visitor = await left_open(site)

    asked = await visitor.post(
        "/people/act", {"act": "role", "role": "auditor", "user": people, "sure": "yes"}
    )

    assert "Is it you?" in asked.body.decode()
    assert "auditor" not in str([user.rights for user in site.storage.users()])


async def test_a_program_is_not_asked(site: ConsoleSite) -> None:
    token = await site.plane.token(role="full-administrator")
    site.clock.advance(**LONG)

    made = await site.plane.ask(
        "POST", "/api/v1/users", token=token, document={"name": "jo", "role": "deployer"}
    )

    assert made.status == 201


def test_what_hands_on_rights_asks_for_a_proof() -> None:
    asking = {o.name for o in OPERATIONS if o.needs_proof}

    assert asking >= {
        "api-tokens.create", "roles.define", "roles.remove", "settings.set-limits",
        "users.create", "users.enable", "users.link", "users.role", "users.vouch",
    }  # fmt: skip
