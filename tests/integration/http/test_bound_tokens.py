"""S10: an enrolment token for one expected machine lets in that one, once, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.access.rights import ROLES, TIER_ZERO, Kind, Right, Verb, rights_of
from patchtide.server.enrolment import MISSES
from patchtide.server.ports.clients import Client
from patchtide.server.ports.decisions import Transaction
from patchtide.server.token_vouching import places_in
from patchtide.server.users import new_user
from tests.integration.http.plane import AdministratorsPlane, Answer
from tests.simulator.agents_plane import FakeSite, MachineUnderTest, PlaneUnderTest, Said, at_once
from tests.simulator.catalogs import Catalog

pytestmark = pytest.mark.anyio
CREATE = Right(Kind.TOKENS, Verb.CREATE)
READ, APPROVE = Right(Kind.MACHINES, Verb.READ), Right(Kind.MACHINES, Verb.APPROVE)


class Site:
    """Two expected machines, and who asks for tokens for them."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.plane = AdministratorsPlane(storage, catalog=Catalog(storage))
        here = FakeSite()
        here.name = self.plane.context.site_name
        places = places_in(self.plane.context.fleet)
        self.agents = PlaneUnderTest(storage, clock=self.plane.clock, site=here, places=places)

    async def begin(self) -> None:
        self.full = await self.plane.token(role="full-administrator")
        await self.ask(
            "POST", "/machine-imports", csv="name,owner\nweb-1,ops\nweb-2,\n", expect=True
        )
        self.web_1, self.web_2 = (str(UUID(bytes=self.client(n).uuid)) for n in ("web-1", "web-2"))

    def client(self, name: str) -> Client:
        [found] = [one for one in self.storage.clients(limit=100) if one.name == name]
        return found

    async def ask(self, method: str, path: str, *, by: str = "", **document: Any) -> Answer:
        token = by or self.full
        return await self.plane.ask(method, f"/api/v1{path}", token=token, document=document)

    async def token(self, machine: str = "", **said: Any) -> str:
        made = await self.ask("POST", "/tokens", machine=machine or self.web_1, **said)
        assert made.status == 201, made.body
        return str(made.json["token"])

    async def made(self, by: set[Right], **said: Any) -> int:
        """Return what is answered to whoever holds these rights alone."""
        token = await self.plane.token(rights=frozenset(by))
        return (await self.ask("POST", "/tokens", by=token, **said)).status

    async def enrol(self, name: str, token: str) -> Said:
        return await MachineUnderTest(self.agents, name=name).enrol(token)

    def entries(self, operation: str) -> list[dict[str, object]]:
        found = self.storage.audit(limit=100)
        return [dict(one.detail) for one in found if one.operation == operation]


@pytest.fixture
async def site(storage: Storage) -> Site:
    made = Site(storage)
    await made.begin()
    return made


async def test_it_lets_in_its_machine_alone_once_and_without_waiting(site: Site) -> None:
    expected = site.client("web-1")
    token = await site.token()

    wrong = [await site.enrol(name, token) for name in ("web-2", "web-3")]
    right, again = await site.enrol("web-1", token), await site.enrol("web-1", token)

    now = site.client("web-1")
    assert [said.status for said in (*wrong, right, again)] == [403, 403, 200, 403]
    assert all(b"token-for-another-machine" in said.body and said.is_signed for said in wrong)
    assert not any(b"web-1" in said.body for said in wrong), "the name is half of the key"
    assert all(len(said.body) <= 256 for said in wrong), "an agent shows no more of it"
    assert (now.uuid, now.described.owner, now.state.value) == (expected.uuid, "ops", "active")
    assert [(e["name"], e["spent"]) for e in site.entries("tokens.miss")] == [
        ("web-2", False),
        ("web-3", False),
    ]
    assert len(site.entries("agents.enrol")) == 1
    assert len(site.storage.clients(limit=100)) == 2


async def test_the_name_stays_as_people_wrote_it(site: Site) -> None:
    said = await site.enrol("WEB-1", await site.token())

    assert said.status == 200
    assert str(UUID(bytes=site.client("web-1").uuid)) == site.web_1


async def test_while_it_can_be_used_no_other_token_takes_its_machine(site: Site) -> None:
    made = await site.ask("POST", "/tokens", uses=3)
    anybodys = str(made.json["token"])
    token = await site.token()

    other = await site.enrol("web-1", anybodys)
    states = [c.state.value for c in site.storage.clients(limit=100)]
    right = await site.enrol("web-1", token)
    await site.token(site.web_2)
    site.plane.clock.advance(hours=24, seconds=1)
    late = await site.enrol("web-2", str((await site.ask("POST", "/tokens")).json["token"]))

    assert (other.status, right.status, late.status) == (200, 200, 200)
    assert states == ["expected", "expected", "waiting"]
    now = site.storage.clients(limit=100)
    assert [c.state.value for c in now] == ["active", "waiting", "waiting"]
    assert [str(UUID(bytes=c.uuid)) for c in now[:2]] == [site.web_1, site.web_2]


async def test_of_many_at_once_one_gets_in(site: Site) -> None:
    token = await site.token()

    said = await at_once(*(site.enrol("web-1", token) for _ in range(8)))

    assert sorted(one.status for one in said) == [200] + [403] * 7
    assert len(site.storage.clients(limit=100)) == 2


async def test_of_two_tokens_for_one_machine_one_is_used(site: Site) -> None:
    tokens = [await site.token() for _ in range(2)]

    said = await at_once(*(site.enrol("web-1", token) for token in tokens))

    assert sorted(one.status for one in said) == [200, 403]


async def test_whoever_tries_names_spends_it(site: Site) -> None:
    token = await site.token()

    tried = [await site.enrol(f"web-{n}", token) for n in range(10, 10 + MISSES)]
    right = await site.enrol("web-1", token)

    assert {said.status for said in tried} == {403} and right.status == 403
    assert [e["spent"] for e in site.entries("tokens.miss")] == [False] * (MISSES - 1) + [True]
    assert site.client("web-1").state.value == "expected"


async def test_names_tried_all_at_once_are_counted_each(site: Site) -> None:
    token = await site.token()

    names = [*(f"web-{n}" for n in range(10, 70)), "web-1"]
    said = await at_once(*(site.enrol(name, token) for name in names))

    assert {one.status for one in said} == {403}
    assert sum(b"token-for-another-machine" in one.body for one in said) == MISSES
    assert [e["spent"] for e in site.entries("tokens.miss")] == [False] * (MISSES - 1) + [True]
    assert site.client("web-1").state.value == "expected"


@pytest.mark.parametrize("what", ["expired", "revoked", "retired", "enrolled by another token"])
async def test_what_came_between_makes_it_useless(site: Site, what: str) -> None:
    token = await site.token()
    if what == "expired":
        site.plane.clock.advance(hours=24, seconds=1)
    elif what == "revoked":
        assert (await site.ask("DELETE", f"/tokens/{token.split('.')[1]}")).status == 204
    elif what == "retired":
        assert (await site.ask("DELETE", f"/machines/{site.web_1}")).status == 204
    else:
        assert (await site.enrol("web-1", await site.token())).status == 200
    before = site.storage.clients(limit=100)

    said = await site.enrol("web-1", token)

    assert said.status == 403 and b"enrolment-refused" in said.body
    assert site.storage.clients(limit=100) == before


MADE = {"tokens.create", "machines.read", "machines.approve"}
LOST: dict[str, Callable[[Transaction, str, datetime], object]] = {
    "shut out": lambda tx, user, now: tx.disable_user(user, at=now),
    "may make none": lambda tx, user, now: tx.set_rights(user, sorted(MADE - {"tokens.create"})),
    "may not approve": lambda tx, user, now: tx.set_rights(user, ["tokens.create"]),
    "may do so elsewhere": lambda tx, user, now: tx.set_rights(
        user, ["tokens.create", "machines.read", f"machines.approve@machine:{UUID(int=1)}"]
    ),
}


@pytest.mark.parametrize("what", LOST)
async def test_who_could_not_make_it_any_more_lets_nobody_in(site: Site, what: str) -> None:
    await _void(site, LOST[what], machine=site.web_1)


async def test_nor_does_she_by_a_token_for_anybody(site: Site) -> None:
    await _void(site, LOST["shut out"])


async def test_nor_a_machine_of_tier_zero_if_she_may_do_nothing_to_that(site: Site) -> None:
    await _void(site, lambda tx, user, now: None, machine=site.web_1, tier_zero=True)


async def test_she_who_still_may_lets_her_machine_in(site: Site) -> None:
    text, _ = await _hers(site, machine=site.web_1)
    assert (await site.enrol("web-1", text)).status == 200


async def _hers(site: Site, **asked: Any) -> tuple[str, str]:
    """Return a token that a person made who may do just that, and her id."""
    now = site.plane.clock.now()
    user = new_user("eve", rights=rights_of(MADE), password_hash="x", now=now, by="test")
    text = str((await site.ask("POST", "/tokens", **asked)).json["token"])
    [token] = site.storage.enrolment_tokens()

    def work(tx: Transaction) -> None:
        tx.add_user(user)
        tx.drop_enrolment_token(token.id)
        tx.add_enrolment_token(replace(token, created_by=f"user:{user.id}"))

    await site.storage.decide("test", "test", work, now=now)
    return text, user.id


async def _void(
    site: Site,
    loses: Callable[[Transaction, str, datetime], object],
    *,
    tier_zero: bool = False,
    **asked: Any,
) -> None:
    text, user = await _hers(site, **asked)
    now = site.plane.clock.now()
    await site.storage.decide("test", "test", lambda tx: loses(tx, user, now), now=now)
    if tier_zero:
        await site.ask("POST", "/collections", name="Tier 0", names=["web-1"], tier_zero=True)

    said, again = await site.enrol("web-1", text), await site.enrol("web-1", text)

    assert (said.status, again.status) == (403, 403)
    assert b"token-void" in said.body and b"enrolment-refused" in again.body
    assert said.is_signed and len(said.body) <= 256
    assert [one["name"] for one in site.entries("tokens.void")] == ["web-1"]
    assert not site.entries("agents.enrol") and not site.storage.enrolment_tokens()


async def test_it_is_made_for_who_is_expected_and_for_one(site: Site) -> None:
    await site.enrol("web-2", await site.token(site.web_2))
    asked: dict[str, dict[str, Any]] = {
        "several": {"machine": site.web_1, "uses": 2},
        "another site": {"machine": site.web_1, "site": "elsewhere"},
        "nobody": {"machine": str(UUID(int=1))},
        "enrolled": {"machine": site.web_2},
    }

    found = {
        what: (await site.ask("POST", "/tokens", **said)).status for what, said in asked.items()
    }

    assert found == {"several": 400, "another site": 400, "nobody": 404, "enrolled": 409}


async def test_who_makes_it_may_approve_that_machine_or_it_waits(site: Site) -> None:
    here, there = f"machine:{site.web_1}", f"machine:{site.web_2}"
    approve_here, approve_there = (Right(Kind.MACHINES, Verb.APPROVE, one) for one in (here, there))
    read_there = {CREATE, Right(Kind.MACHINES, Verb.ADMINISTER, there)}
    asked = {"machine": site.web_1}

    assert await site.made({CREATE, READ, APPROVE}, **asked) == 201
    assert await site.made({CREATE, READ}, **asked) == 403
    assert await site.made({CREATE, READ}, approve=True, **asked) == 201
    assert await site.made({CREATE}, approve=True, **asked) == 404
    assert await site.made({CREATE, READ, approve_here}, **asked) == 201
    assert await site.made({CREATE, READ, approve_there}, **asked) == 404
    assert await site.made(read_there, **asked) == 404
    await site.enrol("web-1", await site.token(approve=True))
    assert site.client("web-1").state.value == "waiting"


async def test_the_list_names_the_machine_to_who_may_see_it(site: Site) -> None:
    await site.token()
    reading = Right(Kind.TOKENS, Verb.READ)

    async def shown(*rights: Right) -> list[Any]:
        token = await site.plane.token(rights=frozenset({reading, *rights}))
        answer = await site.plane.ask("GET", "/api/v1/tokens", token=token)
        return [(one["bound"], one["machine"]) for one in answer.json["items"]]

    there = Right(Kind.MACHINES, Verb.READ, f"machine:{site.web_2}")
    assert [await shown(READ), await shown(there), await shown()] == [
        [(True, site.web_1)],
        [(True, None)],
        [(True, None)],
    ]


async def test_for_a_machine_of_tier_zero_it_takes_that_right(site: Site) -> None:
    await site.ask("POST", "/collections", name="Tier 0", names=["web-1"], tier_zero=True)
    metrics = Right(Kind.METRICS, Verb.ADMINISTER)
    without = set(ROLES["full-administrator"]) - {TIER_ZERO, metrics}
    asked = {"machine": site.web_1}

    assert await site.made(without, **asked) == 403
    assert await site.made(without, approve=True, **asked) == 403
    assert await site.made(without, machine=site.web_2) == 201
    assert await site.made(without | {TIER_ZERO}, **asked) == 201
