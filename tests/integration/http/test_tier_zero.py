"""S39: what is of tier 0 is targeted by who holds that right, and there is no way around it.

The matrix derives from the operation table: whatever decides something is asked for with every
right but that one, of a machine and of a collection that are of tier 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from patchtide.adapters.storage.storage import Storage
from patchtide.domain.access.grants import come_to
from patchtide.domain.access.principals import SessionHolder
from patchtide.domain.access.proposals import Rule
from patchtide.domain.access.rights import ROLES, TIER_ZERO, Kind, Right, Verb, rights_of
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.errors import Refused, WrongState
from patchtide.server.four_eyes import FOUR_EYES, Proposed
from patchtide.server.operations import OPERATIONS
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Operation, perform
from tests.integration.http.memory_storage import MemoryStorage
from tests.integration.http.plane import AdministratorsPlane, Answer
from tests.integration.http.test_policy import BY_TOKEN, prepared
from tests.integration.http.test_rights_matrix import HANDED_ON
from tests.simulator.clock import START

pytestmark = pytest.mark.anyio
WITHOUT = ROLES["full-administrator"] - {TIER_ZERO, Right(Kind.METRICS, Verb.ADMINISTER)}
"""Whoever was handed the rest one by one, too, is a full administrator from times without tiers."""
TARGETING = {
    "machines.approve", "machines.decommission", "machines.describe", "machines.full-report",
    "machines.import", "machines.quarantine", "machines.release", "machines.repair",
    "machines.scan", "machines.get-policy", "collections.scan", "collections.get-policy",
    "collections.add", "collections.change", "collections.delete",
    "collections.remove", "windows.create", "windows.change", "windows.delete", "freezes.create",
    "freezes.change", "freezes.delete", "hours.set", "hours.clear", "settings.set-agents",
    "settings.set-agents-proxy", "settings.set-collection-agents",
    "settings.clear-collection-agents", "site.mark-restored",
}  # fmt: skip
"""What is refused to him: a new operation that aims at machines belongs here."""
ELSEWISE = {"lists.scan", "collections.create"}
"""What leaves such machines out, and what has none yet."""

NARROWED = frozenset(
    {
        *(one for one in WITHOUT if one.kind is not Kind.MACHINES),
        *(Right(Kind.MACHINES, verb) for verb in Verb if verb not in (Verb.READ, Verb.ADMINISTER)),
        Right(Kind.MACHINES, Verb.READ, str(ALL_MACHINES)),
    }
)
"""He who sees machines within a place alone, so that he is not told which collection is marked."""
LIMITED = frozenset({Right(Kind.MACHINES, Verb.ADMINISTER, str(ALL_MACHINES))})
AT_NIGHT = {"name": "x", "comes": "days", "at": "22:00"}


async def mark(plane: AdministratorsPlane, token: str, path: str, document: Any) -> None:
    made = await plane.ask(
        "PUT" if "collections/" in path else "POST", path, token=token, document=document
    )
    assert made.status in (200, 201), made.body


async def answers(operation: Operation) -> list[int]:
    """Return the answers to him, to those who see less, and to who holds that right, too."""
    plane = AdministratorsPlane()
    made = await prepared(plane, operation, role="")
    full = await plane.token(role="full-administrator")
    _, is_of_collection, rest = made.path.partition("/collections/")
    if is_of_collection and str(ALL_MACHINES) not in rest:
        path = f"/api/v1/collections/{rest.partition('/')[0]}"
        await mark(plane, full, path, {"tier_zero": True})
    machines = {"name": "Tier 0", "names": [str(made.machine)], "tier_zero": True}
    await mark(plane, full, "/api/v1/collections", machines)
    document = HANDED_ON.get(operation.name, made.document)
    found = []
    others = [await plane.token(rights=rights) for rights in (WITHOUT, NARROWED, LIMITED)]
    for token in (*others, full):
        answer = await plane.ask(made.method, made.path, token=token, document=document)
        found.append(answer.status)
        if answer.status not in (403, 404):
            break
    return found


def test_whatever_changes_machines_or_collections_is_asked_about_tier_zero() -> None:
    kinds = (Kind.MACHINES, Kind.COLLECTIONS)
    changing = {
        one.name
        for one in BY_TOKEN
        for need in one.needs
        if one.audited and isinstance(need, Right) and need.kind in kinds
        if need.verb is not Verb.READ
    }

    assert changing - TARGETING == ELSEWISE


def test_only_who_may_target_tier_zero_has_anything_done_to_it() -> None:
    async def found() -> Mapping[str, list[int]]:
        return {one.name: await answers(one) for one in BY_TOKEN if one.audited}

    got = asyncio.run(found())

    refused = {name for name, answers in got.items() if len(answers) == 4 and answers[0] == 403}
    assert refused - {"api-tokens.revoke"} == TARGETING, "nobody revokes one that may do more"
    assert {name: got[name][3] for name in TARGETING} == {
        name: OPERATIONS[name].status for name in TARGETING
    }


class Site:
    """A domain controller of tier 0 and a web server; one administrator with that right."""

    def __init__(self, storage: Any = None) -> None:
        self.plane = AdministratorsPlane(storage=storage or MemoryStorage())

    async def begin(self) -> None:
        self.full = await self.plane.token(role="full-administrator")
        self.other = await self.plane.token(rights=WITHOUT)
        self.dc, self.web = [await self.plane.machine(n) for n in ("dc-1", "web-1")]
        self.inner = await self.make("Controllers", query="role = dc")
        await self.do("POST", "/machine-descriptions", machines=[str(self.dc)], role=["dc"])
        self.zero = await self.make("Tier 0", include=[self.inner], tier_zero=True)
        self.mixed = await self.make("Everything", query="name contains 1")

    async def do(self, method: str, path: str, *, by: str = "", **document: Any) -> Answer:
        asked = document or None
        token = by or self.full
        return await self.plane.ask(method, f"/api/v1{path}", token=token, document=asked)

    async def make(self, name: str, *, by: str = "", **definition: Any) -> str:
        made = await self.do("POST", "/collections", by=by, name=name, **definition)
        assert made.status == 201, made.body
        return str(made.json["id"])

    async def tried(self, method: str, path: str, **document: Any) -> int:
        """Return what is answered to whoever holds everything but that right."""
        return (await self.do(method, path, by=self.other, **document)).status

    async def words(self, machine: object) -> str:
        answer = await self.do("GET", f"/machines/{machine}/permission")
        return str(answer.json["words"])


@pytest.fixture
async def site() -> Site:
    made = Site()
    await made.begin()
    return made


async def test_nobody_says_otherwise_who_is_of_tier_zero_without_that_right(site: Site) -> None:
    inner, zero = f"/collections/{site.inner}", f"/collections/{site.zero}"
    file = "name,roles\nweb-1,dc\n"
    tried = {
        "what it is made of asks otherwise": ("PUT", inner, {"query": "role = nothing"}),
        "what it is made of names more": ("POST", f"{inner}/machines", {"names": ["web-1"]}),
        "it is marked no more": ("PUT", zero, {"forget": ["tier_zero"]}),
        "it is deleted": ("DELETE", zero, {}),
        "another is marked": ("PUT", f"/collections/{site.mixed}", {"tier_zero": True}),
        "one is made": ("POST", "/collections", {"name": "Mine", "tier_zero": True}),
        "a machine is let in": ("POST", "/machine-descriptions", {
            "machines": [str(site.web)], "role": ["dc"],
        }),
        "it is let in by a file": ("POST", "/machine-imports", {"csv": file}),
        "one is expected there": ("POST", "/machine-imports", {
            "csv": "name,roles\nnew-1,dc\n", "expect": True,
        }),
        "one of many is of it": ("POST", "/machine-descriptions", {
            "machines": [str(site.web), str(site.dc)], "owner": "me",
        }),
        "it hands that right on": ("PUT", "/roles/mine", {"rights": [str(TIER_ZERO)]}),
        "to a token": ("POST", "/api-tokens", {"name": "n", "rights": [str(TIER_ZERO)]}),
        "to a person": ("POST", "/users", {"name": "eve", "role": "full-administrator"}),
    }  # fmt: skip

    found = {name: await site.tried(how, path, **said) for name, (how, path, said) in tried.items()}

    assert found == dict.fromkeys(tried, 403)


async def test_what_is_not_of_tier_zero_stays_everybodys_and_reading_does_too(site: Site) -> None:
    mixed = f"/collections/{site.mixed}"
    done = [
        await site.tried("GET", f"/machines/{site.dc}"),
        await site.tried("GET", f"/collections/{site.zero}"),
        await site.tried("POST", "/machine-descriptions", machines=[str(site.web)], owner="me"),
        await site.tried("PUT", mixed, description="mine"),
        await site.tried("POST", f"{mixed}/machines", names=["dc-1"]),
        await site.tried("POST", "/collections", name="Mine", include=[site.zero]),
    ]

    assert done == [200, 200, 200, 200, 200, 201]


async def test_who_sees_a_part_of_the_fleet_leaves_tier_zero_alone_in_it(site: Site) -> None:
    rights = [f"{kind}@{site.mixed}" for kind in ("machines.administer", "collections.read")]
    limited = await site.plane.token(rights=rights_of(rights))

    asked = [
        await site.do("POST", f"/collections/{site.mixed}/{what}", by=limited)
        for what in ("scans", "policy-calls")
    ]

    assert [answer.json["left_out"] for answer in asked] == [1, 1]


async def test_what_others_say_of_a_collection_reaches_no_machine_of_tier_zero(site: Site) -> None:
    mixed, year = f"/collections/{site.mixed}", f"{site.plane.clock.now():%Y}"
    frozen = {"begins": f"{year}-01-01 00:00", "ends": f"{year}-12-31 23:59", "reason": "x"}
    before = await site.words(site.dc)

    assert await site.tried("POST", f"{mixed}/freezes", **frozen) == 201
    assert before == await site.words(site.dc) == "Yes: no maintenance window binds this machine"
    assert "it is frozen" in await site.words(site.web)

    assert await site.tried("POST", f"{mixed}/windows", **AT_NIGHT) == 201
    assert "not of tier 0 as this machine is" in await site.words(site.dc)

    await site.do("POST", f"/collections/{site.zero}/windows", **AT_NIGHT)
    assert "no maintenance window is open" in await site.words(site.dc)

    settings = f"/settings/agents{mixed}"
    assert await site.tried("PUT", settings, poll_s=900) == 200
    told = [(await site.do("GET", f"/machines/{m}")).json["poll_s"] for m in (site.dc, site.web)]
    assert told == [3600, 900]


async def test_while_nobody_knows_who_is_of_tier_zero_everybody_may_be(site: Site) -> None:
    await site.do("POST", f"/collections/{site.mixed}/windows", **AT_NIGHT)
    assert await site.tried("POST", "/scans", machines=[str(site.web)]) == 202
    storage, now = site.plane.storage, site.plane.clock.now()

    def break_it(tx: Transaction) -> None:
        [one] = [one for one in tx.collections.hold() if str(one.id) == site.inner]
        tx.collections.change(replace(one, definition=replace(one.definition, query="was = once")))
        tx.note(one.id.hex)

    await storage.decide("x", "collections.change", break_it, now=now)

    refused = await site.do("POST", "/scans", by=site.other, machines=[str(site.web)])
    assert refused.status == 403 and "nobody knows which machines" in refused.json["detail"]
    assert (await site.words(site.web)).startswith("Not now")
    assert (await site.do("POST", "/scans", machines=[str(site.web)])).status == 202


async def test_an_author_who_loses_that_right_has_nothing_done(site: Site) -> None:
    plane, asked = site.plane, {"machines": [str(site.dc)], "role": ["other"]}
    rule = msgspec.msgpack.encode(Rule(is_on=True))
    await plane.storage.decide("x", "x", lambda tx: tx.put_setting(FOUR_EYES, rule), now=START)

    async def author(operation: str, rights: frozenset[Right], **document: Any) -> Any:
        holder = SessionHolder(user_id="maria", name="maria", rights=rights, proved_at=START)
        found = OPERATIONS[operation]
        document = msgspec.convert(document, found.input)
        return await perform(plane.context, found, principal=holder, asked=document)

    full = ROLES["full-administrator"]
    with pytest.raises(Proposed) as waits:
        await author("machines.describe", full, **asked)
    proposal = waits.value.proposal.id
    with pytest.raises(WrongState, match="there is nobody else"):
        await author("proposals.enact", full, proposal=proposal)
    with pytest.raises(Refused, match="1 of these machines is of tier 0"):
        await author("proposals.enact", full - {TIER_ZERO}, proposal=proposal)


async def test_one_person_alone_takes_nothing_out_of_tier_zero_where_others_must_agree(
    storage: Storage,
) -> None:
    site = Site(storage)
    await site.begin()
    rule = msgspec.msgpack.encode(Rule(is_on=True))
    await site.plane.storage.decide("x", "x", lambda tx: tx.put_setting(FOUR_EYES, rule), now=START)
    zero, inner = f"/collections/{site.zero}", f"/collections/{site.inner}"
    sees_less = await site.plane.token(rights=NARROWED)
    handed = {"name": "eve", "rights": [f"machines.modify@{site.mixed}"]}

    done = [
        (await site.do("PUT", zero, description="x")).status,
        (await site.do("PUT", zero, forget=["tier_zero"])).status,
        (await site.do("DELETE", zero)).status,
        (await site.do("PUT", inner, query="role = nothing")).status,
        (await site.do("PUT", f"/collections/{site.mixed}", tier_zero=True)).status,
        (await site.do("DELETE", f"/collections/{site.mixed}")).status,
        (await site.do("POST", "/users", by=sees_less, **handed)).status,
    ]

    assert done == [200, 202, 202, 202, 200, 202, 202]


def test_who_was_a_full_administrator_is_one_of_tier_zero_and_nobody_else() -> None:
    once = [f"{kind}.administer" for kind in Kind if kind not in (Kind.COLLECTIONS, Kind.TIER_ZERO)]
    without = {"mine": [*map(str, ROLES["full-administrator"] - {TIER_ZERO})]}

    assert TIER_ZERO in come_to(["role:full-administrator"], {})
    assert TIER_ZERO in come_to(once, {})
    assert TIER_ZERO not in come_to(["role:mine"], without)
    assert TIER_ZERO not in come_to([f"role:full-administrator@{ALL_MACHINES}"], {})
    assert not any(TIER_ZERO in ROLES[name] for name in ROLES.keys() - {"full-administrator"})
