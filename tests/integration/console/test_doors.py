"""Getting in and out (S32): what a session is bound to, and when it ends."""

from __future__ import annotations

import pytest

from patchtide.server.ports.accounts import LinkUse
from patchtide.server.sign_in_links import issue
from tests.integration.console.visitor import PASSWORD, ConsoleSite
from tests.integration.http.plane import CODE

pytestmark = pytest.mark.anyio
SESSION = "__Host-patchtide-session"


async def test_a_stranger_is_led_to_the_door_and_then_to_where_he_wanted(site: ConsoleSite) -> None:
    await site.person()
    visitor = site.visitor()

    sent = await visitor.get("/machines?standing=required")
    await visitor.get(sent.headers["location"])
    let_in = await visitor.post(
        "/sign-in", {"name": "maria", "password": PASSWORD, "next": "/machines?standing=required"}
    )

    assert sent.headers["location"] == "/sign-in?next=%2Fmachines%3Fstanding%3Drequired"
    assert (let_in.status, let_in.headers["location"]) == (303, "/machines?standing=required")


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"],
)
async def test_signing_in_leads_to_no_other_host(site: ConsoleSite, elsewhere: str) -> None:
    await site.person()
    visitor = site.visitor()
    await visitor.get("/sign-in")

    answer = await visitor.post(
        "/sign-in", {"name": "maria", "password": PASSWORD, "next": elsewhere}
    )

    assert (answer.status, answer.headers["location"]) == (303, "/")


async def test_a_session_is_a_cookie_of_this_host_that_no_script_reads(site: ConsoleSite) -> None:
    visitor = await site.signed_in()

    [line] = [x for x in visitor.said if x.startswith(SESSION)]
    _, *attributes = line.split("; ")
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]


async def test_signing_in_again_makes_another_session_and_ends_the_first(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    old = dict(visitor.cookies)

    await visitor.post("/sign-in", {"name": "maria", "password": PASSWORD})
    fixed = site.visitor()
    fixed.cookies = old

    assert visitor.cookies[SESSION] != old[SESSION]
    assert (await fixed.get("/machines")).status == 303


async def test_a_session_that_somebody_planted_is_not_taken_over(site: ConsoleSite) -> None:
    await site.person()
    visitor = site.visitor()
    visitor.cookies[SESSION] = "a" * 64
    await visitor.get("/sign-in")

    await visitor.post("/sign-in", {"name": "maria", "password": PASSWORD})

    assert visitor.cookies[SESSION] != "a" * 64


async def test_a_wrong_password_says_no_more_than_that(site: ConsoleSite) -> None:
    await site.person()
    texts = []
    for name in ("maria", "nobody"):
        visitor = site.visitor()
        await visitor.get("/sign-in")
        answer = await visitor.post("/sign-in", {"name": name, "password": "wrong"})
        texts.append((answer.status, b"No account has this name and this password" in answer.body))

    assert texts == [(401, True), (401, True)]


async def test_a_quiet_quarter_of_an_hour_ends_a_session(site: ConsoleSite) -> None:
    visitor = await site.signed_in()

    site.clock.advance(minutes=14)
    assert (await visitor.get("/machines")).status == 200
    site.clock.advance(minutes=16)
    assert (await visitor.get("/machines")).status == 303


async def test_a_page_that_refreshes_itself_keeps_no_session_alive(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    for _ in range(4):
        site.clock.advance(minutes=4)
        answer = await visitor.get("/live", **{"patchtide-background": "1", "hx-request": "true"})

    assert answer.status == 401


async def test_twelve_hours_end_a_session_whatever_is_done(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    for _ in range(12 * 6 - 1):
        site.clock.advance(minutes=10)
        assert (await visitor.get("/live")).status == 200
    site.clock.advance(minutes=10)

    assert (await visitor.get("/live")).status == 303


async def test_signing_out_ends_it_at_once_and_takes_the_cookie_away(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    held = dict(visitor.cookies)

    answer = await visitor.post("/sign-out")
    thief = site.visitor()
    thief.cookies = held

    assert (answer.status, answer.headers["location"]) == (303, "/sign-in")
    assert SESSION not in visitor.cookies
    assert (await thief.get("/machines")).status == 303


async def test_the_one_time_code_claims_a_fresh_site(site: ConsoleSite) -> None:
    visitor = site.visitor()
    await visitor.get("/welcome")

    answer = await visitor.post(
        "/welcome", {"code": CODE, "name": "ann", "password": PASSWORD, "again": PASSWORD}
    )

    assert answer.status == 303
    assert b"ann" in (await visitor.get("/")).body


async def test_two_passwords_that_differ_spend_no_code(site: ConsoleSite) -> None:
    visitor = site.visitor()
    await visitor.get("/welcome")
    claim = {"code": CODE, "name": "ann", "password": PASSWORD}

    first = await visitor.post("/welcome", {**claim, "again": "something else"})
    second = await visitor.post("/welcome", {**claim, "again": PASSWORD})

    assert (first.status, second.status) == (400, 303)


async def test_a_link_of_the_server_itself_signs_in_once(site: ConsoleSite) -> None:
    await site.person()
    [user] = site.storage.users()
    link, issued = issue(user, now=site.clock.now(), use=LinkUse.SIGN_IN)
    await site.storage.decide("test", "test", lambda tx: tx.put_link(link), now=site.clock.now())
    path, _, code = issued.link.partition("#")
    answers = []
    for visitor in (site.visitor(), site.visitor()):
        await visitor.get(path)
        answers.append((await visitor.post("/enter", {"code": code})).status)

    assert answers == [303, 403]


async def test_each_way_in_and_out_leaves_one_audit_entry(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    await visitor.post("/sign-out")

    entries = [e for e in site.storage.audit() if e.operation.startswith("sessions.")]
    assert [e.operation for e in entries] == ["sessions.sign-in", "sessions.sign-out"]
