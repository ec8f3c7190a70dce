"""Lists and what is done from them, over a fleet in a real database."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest

from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.reports import IncomingReport, Presence
from patchtide.wire.inventory import HardwareV1, hardware
from patchtide.wire.messages import HealthV1, encode
from tests.integration.console.visitor import PASSWORD, ConsoleSite
from tests.simulator.catalogs import a_leaf, a_scan

pytestmark = pytest.mark.anyio


async def test_a_bookmark_of_a_list_shows_that_list(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    await site.machines("web-1", "web-2", "db-1")

    page = (await visitor.get("/machines?q=web&sort=-name")).body.decode()

    assert page.index("web-2</bdi>") < page.index("web-1</bdi>") and "db-1" not in page
    assert 'value="web"' in page


async def test_an_export_is_what_the_list_shows(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    await site.machines("web-1", "web-2", "db-1")

    answer = await visitor.get("/machines?q=web&format=json")

    assert [row["name"] for row in json.loads(answer.body)] == ["web-1", "web-2"]
    assert answer.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize("path", ["/machines", "/updates", "/tokens", "/people", "/audit"])
async def test_every_list_is_exported_both_ways(site: ConsoleSite, path: str) -> None:
    visitor = await site.signed_in()

    kinds = [(await visitor.get(f"{path}?format={kind}")) for kind in ("csv", "json")]

    assert [(a.status, a.headers["content-type"]) for a in kinds] == [
        (200, "text/csv; charset=utf-8"),
        (200, "application/json"),
    ]


async def test_the_audit_is_verified_on_demand_and_names_what_was_changed(
    site: ConsoleSite, tmp_path: Path
) -> None:
    visitor = await site.signed_in()
    plain = (await visitor.get("/audit")).body
    intact = (await visitor.get("/audit?verify=yes")).body
    beside = (await visitor.get("/audit?verify=yes", **{"patchtide-background": "1"})).body

    with closing(sqlite3.connect(tmp_path / "patchtide.db")) as database, database:
        database.execute("UPDATE audit SET actor = 'nobody' WHERE sequence = 1")

    broken = (await visitor.get("/audit?verify=yes")).body
    assert b"The chain is intact" in intact
    assert b"The chain is" not in plain and b"The chain is" not in beside
    assert b"The chain is broken at no. 1:" in broken


@pytest.mark.parametrize("path", ["/", "/machines", "/updates", "/tokens"])
async def test_an_empty_site_says_what_to_do_next(site: ConsoleSite, path: str) -> None:
    visitor = await site.signed_in()

    page = (await visitor.get(path)).body.decode()

    assert 'class="empty' in page


async def test_one_thing_is_done_to_all_that_were_chosen(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    waiting = [await site.plane.machine(f"web-{n}", ClientState.WAITING) for n in range(3)]

    answer = await visitor.post(
        "/machines/act",
        {"act": "approve", "machine": [str(m) for m in waiting[:2]], "back": "/machines?q=web"},
    )

    assert answer.headers["location"] == "/machines?q=web&done=approve-2"
    states = [c.state for c in site.storage.clients()]
    assert states == [ClientState.ACTIVE, ClientState.ACTIVE, ClientState.WAITING]
    assert sorted(site.plane.changed) == sorted(m.bytes for m in waiting[:2])


async def test_what_is_said_of_all_chosen_leaves_what_is_not_filled_in(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    machines = [str(m) for m in await site.machines("web-1", "web-2")]
    one = {"act": "describe", "machine": machines[:1], "all": "yes"}
    await visitor.post("/machines/act", {**one, "owner": "Ann", "roles": "web", "location": "hq"})

    answer = await visitor.post(
        "/machines/act", {"act": "describe", "machine": machines, "owner": "", "roles": "web db"}
    )
    both = [(c.described.owner, c.described.roles) for c in site.storage.clients()]
    page = (await visitor.get("/machines?role=db&owner=Ann")).body.decode()
    look = {"act": "describe-preview", "machine": machines, "add_tags": "Bad!"}
    refused = await visitor.post("/machines/act", look)
    await visitor.post("/machines/act", {**one, "exposure": "critical"})
    found = site.storage.clients()[0].described

    assert answer.headers["location"] == "/machines?done=describe-2"
    assert both == [("Ann", ("db", "web")), ("", ("db", "web"))]
    assert "web-1" in page and "web-2" not in page and "Role: all" in page
    assert (found.owner, found.roles, found.exposure.value) == ("", (), "critical")
    assert refused.status == 400
    assert b"The add tags are words of small letters, digits and hyphens" in refused.body


async def test_a_role_is_copied_with_what_no_page_asks_for_yet(site: ConsoleSite) -> None:
    visitor = await site.signed_in()

    page = (await visitor.get("/roles?role=deployer")).body.decode()

    assert 'value="machines.deploy" checked' in page
    assert 'value="tier-zero.administer">' in page


async def test_what_hurts_is_done_only_when_it_was_confirmed(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    [machine] = await site.machines("web-1")
    asked = {"act": "decommission", "machine": str(machine), "back": "/machines"}

    question = await visitor.post("/machines/act", asked)
    before = site.storage.clients()[0].state
    await visitor.post("/machines/act", {**asked, "sure": "yes"})

    assert b"Retire 1 machine?" in question.body and b"web-1" in question.body
    assert (before, site.storage.clients()[0].state) == (
        ClientState.ACTIVE,
        ClientState.DECOMMISSIONED,
    )


async def test_what_could_not_be_done_is_named_beside_what_was(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    ready = await site.plane.machine("ready", ClientState.WAITING)
    done = await site.plane.machine("done", ClientState.ACTIVE)

    answer = await visitor.post(
        "/machines/act", {"act": "approve", "machine": [str(ready), str(done)]}
    )

    assert b"1 machine approved, 1 not" in answer.body
    assert b"the machine is active" in answer.body


async def test_a_form_that_chooses_nothing_says_so(site: ConsoleSite) -> None:
    visitor = await site.signed_in()

    answer = await visitor.post("/machines/act", {"act": "approve"})

    assert answer.status == 409 and b"No machine was chosen" in answer.body


@pytest.mark.parametrize(
    "fields", [{"act": "explode"}, {"act": "approve", "machine": "x"}], ids=["act", "machine"]
)
async def test_a_form_of_nonsense_is_refused_in_words(
    site: ConsoleSite, fields: dict[str, str]
) -> None:
    visitor = await site.signed_in()

    assert (await visitor.post("/machines/act", fields)).status == 400


async def test_a_token_with_wrong_bounds_is_not_made_and_the_form_keeps_its_words(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()

    answer = await visitor.post("/tokens", {"uses": 0, "hours": 99, "group": "web"})

    assert answer.status == 400 and b'value="web"' in answer.body
    assert list(site.storage.enrolment_tokens()) == []


async def test_of_tokens_that_are_revoked_together_one_that_is_gone_stops_no_other(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    for group in ("a", "b"):
        await visitor.post("/tokens", {"uses": 1, "hours": 1, "group": group})
    first, second = (token.id for token in site.storage.enrolment_tokens())
    gone = "0" * 12

    answer = await visitor.post("/tokens/revoke", {"token": [first, gone, second]})

    assert list(site.storage.enrolment_tokens()) == []
    assert answer.status == 200 and b"2 tokens revoked, 1 not" in answer.body
    assert gone.encode() in answer.body


async def test_a_person_gets_a_link_and_is_shut_out_again(site: ConsoleSite) -> None:
    admin = await site.signed_in()
    made = await admin.post("/people", {"name": "ben", "role": "auditor"})
    [ben] = [user for user in site.storage.users() if user.name == "ben"]

    asked = {"act": "disable", "user": ben.id}
    question = await admin.post("/people/act", asked)
    gone = await admin.post("/people/act", {**asked, "sure": "yes"})

    assert b"Disable 1 person?" in question.body and b"ben" in question.body
    assert b"https://site.example:8540/welcome#" in made.body
    assert gone.headers["location"] == "/people?done=disable-1"


async def test_what_a_new_link_takes_away_is_asked_about_and_told(site: ConsoleSite) -> None:
    admin = await site.signed_in()
    ben = await site.person("ben", "auditor")
    await site.visitor().sign_in("ben")
    asked = {"act": "link", "user": ben}

    question = await admin.post("/people/act", asked)
    before = site.storage.newest_audit(limit=1)[0].operation
    done = await admin.post("/people/act", {**asked, "sure": "yes"})

    assert b"Make a new link for 1 person?" in question.body
    assert b"every API token" in question.body and before == "sessions.sign-in"
    assert b"/welcome#" in done.body and b"1 session ended, 0 API tokens revoked." in done.body


async def test_the_last_administrator_is_not_disabled(site: ConsoleSite) -> None:
    admin = await site.signed_in()
    [user] = site.storage.users()

    answer = await admin.post("/people/act", {"act": "disable", "user": user.id, "sure": "yes"})

    assert answer.status == 409 and b"nobody else could hand on" in answer.body


async def test_a_page_that_nothing_has_moved_since_is_not_asked_for_again(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    [machine] = await site.machines("web-1")
    first = (await visitor.get("/live")).body
    again = (await visitor.get("/live")).body
    await visitor.post("/machines/act", {"act": "full-report", "machine": str(machine)})
    site.clock.advance(seconds=1)

    assert first == again != (await visitor.get("/live")).body


async def test_many_people_get_another_role_and_whoever_could_not_is_named(
    site: ConsoleSite,
) -> None:
    admin = await site.signed_in()
    people = [await site.person(name, "auditor") for name in ("ben", "eve")]
    await site.person("done", "deployer")
    chosen = [user.id for user in site.storage.users() if user.name != "maria"]

    asked = {"act": "role", "role": "deployer", "user": chosen}
    question = await admin.post("/people/act", asked)
    some = await admin.post("/people/act", {**asked, "sure": "yes"})
    every = await admin.post(
        "/people/act",
        {
            "act": "role", "role": "engineer", "user": people, "sure": "yes",
            "back": "/people?role=deployer",
        },
    )  # fmt: skip

    assert b"Change role of 3 people?" in question.body and b"every API token" in question.body
    assert b"2 people given another role, 1 not" in some.body
    assert b"done</bdi>: the user has just these rights already" in some.body
    assert every.headers["location"] == "/people?role=deployer&done=role-2"
    held = {user.name: user.rights for user in site.storage.users()}
    assert held["ben"] == held["eve"] == ("role:engineer",)


async def test_without_a_role_chosen_nobodys_role_is_changed(site: ConsoleSite) -> None:
    admin = await site.signed_in()
    ben = await site.person("ben", "auditor")

    answer = await admin.post("/people/act", {"act": "role", "role": "", "user": ben})

    assert answer.status == 400 and b"The role is missing" in answer.body


async def test_of_those_chosen_the_visitor_comes_last(site: ConsoleSite) -> None:
    admin = await site.signed_in("ann")
    await site.person("zoe")
    chosen = [user.id for user in site.storage.users()]
    await site.person("stays")

    answer = await admin.post("/people/act", {"act": "disable", "user": chosen, "sure": "yes"})

    assert answer.status == 303
    able = [user.name for user in site.storage.users() if user.disabled_at is None]
    ended = [e.subject for e in site.storage.audit() if e.operation == "users.disable"]
    assert able == ["stays"] and ended == chosen[::-1]


async def test_only_roles_that_the_visitor_can_hand_on_are_offered(site: ConsoleSite) -> None:
    keeper = await site.signed_in()
    [user] = site.storage.users()
    rights = ["accounts.administer", "machines.read", "catalog.read", "collections.read"]
    now = site.clock.now()
    await site.storage.decide("t", "t", lambda tx: tx.set_rights(user.id, rights), now=now)

    page = (await keeper.get("/people")).body.decode()

    assert 'value="machine-owner"' in page and 'value="full-administrator"' not in page


async def test_on_her_own_page_a_person_changes_her_password(site: ConsoleSite) -> None:
    visitor = await site.signed_in(role="auditor")
    elsewhere = site.visitor()
    await elsewhere.sign_in("maria")
    page = (await visitor.get("/account")).body.decode()
    new = {"new": "another four words", "again": "another four words"}

    wrong = await visitor.post("/account/password", {**new, "old": "not this one"})
    differ = await visitor.post("/account/password", {**new, "old": PASSWORD, "again": "x"})
    done = await visitor.post("/account/password", {**new, "old": PASSWORD})

    assert "Auditor" in page and "machines.read" in page
    assert (wrong.status, b"This is not your current password" in wrong.body) == (401, True)
    assert (differ.status, b"not the same both times" in differ.body) == (400, True)
    assert (done.status, done.headers["location"]) == (303, "/account?done=password")
    assert b"Your password is changed" in (await visitor.get("/account?done=password")).body
    assert (await elsewhere.get("/account")).status == 303


async def report(site: ConsoleSite, machine: UUID, sent: IncomingReport) -> int:
    [client] = site.storage.clients_of([machine.bytes])
    now = site.clock.now().timestamp()
    await site.storage.accept([replace(sent, client=client.number)], now=now)
    return int(client.number)


async def test_of_what_a_machine_says_starts_with_it_a_page_shows_the_first(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    [machine] = await site.machines("web")
    number = await report(site, machine, a_scan(0, 1))
    body = hardware(HardwareV1(services=tuple(f"service-{n}" for n in range(2_000))))
    await site.storage.put_inventory(
        number, kind="hardware", digest=sha256(body).digest(), body=body, now=0.0
    )

    page = (await visitor.get(f"/machines/{machine}?tab=facts")).body.decode()

    assert page.count(">service-") == 100 and "and 1900 more" in page


async def test_where_nothing_is_known_no_page_says_that_nothing_is_needed(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    await site.catalog.publish([a_leaf(1, "openssl"), a_leaf(2, "curl")])
    restarts, done = await site.machines("restarts", "done")
    shut_out = await site.plane.machine("shut-out", state=ClientState.QUARANTINED)
    waits = await site.plane.machine("waits", state=ClientState.WAITING)
    number = await report(site, restarts, a_scan(0, 1, installed=[1], unknown=[2]))
    await report(site, done, a_scan(0, 1, installed=[1, 2]))
    await report(site, shut_out, a_scan(0, 1, required=[1, 2]))
    health = encode(HealthV1(restart_pending=True))
    at = site.clock.now().timestamp()
    await site.storage.flush_presence(
        [Presence(client=number, counter=1, seen_at=at, health=health)]
    )

    said = {
        machine: (await visitor.get(f"/machines/{machine}")).body.decode()
        for machine in (restarts, shut_out, waits, done)
    }

    green = [machine for machine, page in said.items() if "Nothing is needed here" in page]
    assert green == [done]
    assert "This machine could not judge some updates." in said[restarts]
    assert all("This machine is not let in." in said[machine] for machine in (shut_out, waits))


async def test_an_export_names_no_version_of_an_agent_that_is_out_of_date(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    await site.machines("web")

    answer = await visitor.get("/machines?format=json")

    [row] = json.loads(answer.body)
    assert row["name"] == "web" and "agent_version" not in row
