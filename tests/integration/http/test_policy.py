"""S06: every route declares its policy, and what the server answers is what people reviewed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import yaml

from patchtide.adapters.http.application import NotServed, build_application
from patchtide.domain.access.principals import TokenHolder, check
from patchtide.domain.access.rights import ROLES
from patchtide.domain.alerts.rules import Unit, Watched
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.errors import NotFound, Refused
from patchtide.server.alert_book import RULES, KeptRule, pack
from patchtide.server.channel_book import CHANNELS, pack_channels
from patchtide.server.feed_dates import DATES
from patchtide.server.operations import OPERATIONS
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.notifying import Channel
from patchtide.server.role_book import ROLE_BOOK, KeptRole, pack_roles
from patchtide.server.subscription_book import SUBSCRIPTIONS, Subscription, pack_subscriptions
from patchtide.server.synchronisation import APPLIED, Applied
from patchtide.server.synchronisation_plan import HOURLY
from patchtide.server.table import Operation, Table
from tests.integration.http.memory_files import NAME, ROOT
from tests.integration.http.memory_storage import TERMS, UPDATE
from tests.integration.http.plane import CODE, AdministratorsPlane

REVIEWED: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[2] / "policy.yaml").read_text()
)
NOTHING = sha256().hexdigest()
STATE_BEFORE = {
    "machines.approve": ClientState.WAITING,
    "machines.release": ClientState.QUARANTINED,
}
A_WINDOW = {"name": "x", "comes": "days", "at": "22:00"}
A_FREEZE = {"begins": "2026-12-18 18:00", "ends": "2027-01-04 06:00", "reason": "x"}
DOCUMENTS = {
    "whatif": {"rule": "deb openssl installed"},
    "machines.whatif": {"rule": "deb openssl installed"},
    "machines.describe": {"owner": "x"},
    "machines.import": {"csv": "name,owner\nweb-1,x\n"},
    "settings.set-target": {"percent": 98},
    "settings.set-agents": {"scan_every_h": 24},
    "settings.set-agents-proxy": {"address": "http://proxy:3128"},
    "settings.set-health": {"waiting_h": 48},
    "settings.set-collection-agents": {"scan_every_h": 24},
    "searches.save": {"query": "expired"},
    "searches.keep": {"query": "expired"},
    "searches.rename": {"to": "y"},
    "searches.rename-own": {"to": "y"},
    "lists.rename": {"to": "y"},
    "lists.create": {"name": "x"},
    "lists.add": {"updates": [str(UPDATE)]},
    "lists.remove": {"updates": [str(UPDATE)]},
    "subscriptions.add": {"report": "overall", "channel": "x", "every_h": 24},
    "collections.create": {"name": "x"},
    "collections.change": {"description": "x"},
    "windows.create": A_WINDOW,
    "windows.change": A_WINDOW,
    "freezes.create": A_FREEZE,
    "freezes.change": A_FREEZE,
    "hours.set": {"ends": "17:00"},
    "hours.clear": {},
    "channels.define": {"to": ["x@example.org"]},
    "alerts.define": {"watched": "disk", "limit": 90},
    "updates.accept-licence": {"sha256": sha256(TERMS.encode()).hexdigest()},
    "tokens.create": {},
    "api-tokens.create": {"name": "n", "role": "auditor"},
    "site.bootstrap": {"code": CODE},
    "users.create": {"name": "maria", "role": "auditor"},
    "users.role": {"role": "machine-owner"},
    "settings.set-limits": {"person": 500},
    "settings.set-four-eyes": {"machines_over": 40},
    "roles.define": {"rights": ["machines.read"]},
    "catalog.accept-older": {"suite": "x"},
    "catalog.take-in": {"export": NAME},
    "catalog.trust-exporter": {"root": ROOT.hex()},
    "publisher.draft": {"document": NOTHING},
    "publisher.sign": {},
}
A_RULE = (RULES, pack([KeptRule(name="x", watched=Watched.DISK, limit=90, unit=Unit.PERCENT)]))
A_CHANNEL = (CHANNELS, pack_channels([Channel(name="x", kind="email", to=("x@example.org",))]))
A_SUBSCRIPTION = (
    SUBSCRIPTIONS,
    pack_subscriptions(
        [
            Subscription(
                name="x",
                report="overall",
                about={},
                channel="x",
                format="csv",
                schedule=HOURLY,
                owner="api-token:000000000001",
                owner_name="x",
                since=0,
            )
        ]
    ),
)
A_ROLE = (ROLE_BOOK, pack_roles([KeptRole(name="x", rights=("accounts.read",))]))
SETTINGS = {
    "roles.remove": A_ROLE,
    "subscriptions.add": A_CHANNEL,
    "subscriptions.remove": A_SUBSCRIPTION,
    "subscriptions.test": A_SUBSCRIPTION,
    "alerts.test": A_CHANNEL,
    "channels.remove": A_CHANNEL,
    "alerts.show": A_RULE,
    "alerts.remove": A_RULE,
    "catalog.accept-older": (DATES, msgspec.msgpack.encode({"x": 1.0})),
    "catalog.withdraw": (
        APPLIED,
        msgspec.msgpack.encode(
            Applied(
                stamp=b"",
                selection=b"",
                version="",
                full=True,
                updates=0,
                left_out=0,
                untold=("x",),
            )
        ),
    ),
}
"""What was written down before by a synchronisation."""
PINNED = {"catalog.take-in", "catalog.distrust-exporter"}
"""What can be done only once the site of a catalog's file is believed."""
OF_MACHINES = {"machines.describe", "machines.scan", "machines.get-policy"}
"""What is asked of several at once."""
OF_NAMED_MACHINES = {"collections.add", "collections.remove"}
"""What is asked of several by their names, or their ids."""
CALENDAR: dict[str, tuple[str, dict[str, str], str]] = {
    "windows": ("/api/v1/collections/{collection}/windows", A_WINDOW, "window"),
    "freezes": ("/api/v1/collections/{collection}/freezes", A_FREEZE, "freeze"),
    "hours": ("/api/v1/business-hours", {"ends": "17:00"}, ""),
}
"""How there is something of each kind: where it is asked for, with what, and what its id is of."""
BY_PERSON = {
    "users.password",
    "proposals.approve",
    "proposals.reject",
    "proposals.withdraw",
    "proposals.enact",
}
"""What no token can ask for, that has no password; and what needs two people."""
COUNT = count(1)
"""No two collections of a plane are called the same, and no two windows of a collection."""
BY_TOKEN = [o for o in OPERATIONS if "allowed" in REVIEWED.get(o.name, {})]
_FORGED = (
    ("signature", "sig1=:AAAA:"),
    ("signature-input", 'sig1=("@method");keyid="0";tag="patchtide-agent-v1"'),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is asked for an operation in a state in which it can be done."""

    method: str
    path: str
    document: Any
    machine: UUID
    """What it is asked of, if it is asked of a machine."""


async def call(
    plane: AdministratorsPlane,
    operation: Operation,
    token: str = "",
    *,
    name: str = "web-1",
    headers: Any = (),
) -> int:
    """Ask for the operation in a state in which it can be done; return the status."""
    made = await prepared(plane, operation, name=name)
    answer = await plane.ask(
        made.method, made.path, token=token, document=made.document, headers=headers
    )
    return answer.status


async def prepared(
    plane: AdministratorsPlane,
    operation: Operation,
    *,
    name: str = "web-1",
    role: str = "auditor",
) -> Prepared:
    """`role`: of the person whom it is asked of, if it is asked of one."""
    state = STATE_BEFORE.get(operation.name, ClientState.ACTIVE)
    machine = await plane.machine(name, state)
    enrolment = await plane.ask(
        "POST", "/api/v1/tokens", token=await plane.token(role="full-administrator"), document={}
    )
    ids = {
        "machine": str(machine),
        "token": enrolment.json["id"],
        "path": "x",
        "name": "x",
        "update": str(UPDATE),
        "export": NAME,
        "shard": "x",
        "sha256": NOTHING,
        "draft": "0" * 32,
        "risk": "high",
        "proposal": "0" * 12,
    }
    if operation.name in PINNED:
        await plane.ask(
            "PUT",
            "/api/v1/catalog/exporters/x",
            token=await plane.token(role="full-administrator"),
            document={"root": ROOT.hex()},
        )
    if known := SETTINGS.get(operation.name):
        await plane.storage.decide(
            "system", "x", lambda tx: tx.put_setting(*known), now=plane.clock.now()
        )
    if operation.name == "api-tokens.revoke":
        ids["token"] = "000000000001"
    if operation.group == "reports":
        ids |= {"name": "overall", "format": "csv"}
    if "{collection}" in operation.path:
        made = await plane.ask(
            "POST",
            "/api/v1/collections",
            token=await plane.token(role="full-administrator"),
            document={"name": f"collection {next(COUNT)}"},
        )
        ids["collection"] = made.json["id"]
    if operation.name == "settings.clear-collection-agents":
        await plane.ask(
            "PUT",
            f"/api/v1/settings/agents/collections/{ids['collection']}",
            token=await plane.token(role="full-administrator"),
            document={"scan_every_h": 24},
        )
    if (group := operation.group) in CALENDAR:
        operator = await plane.token(role="full-administrator")
        path, document, name_of_id = CALENDAR[group]
        method = "POST" if name_of_id else "PUT"
        where = path.format(collection=ALL_MACHINES)
        made = await plane.ask(method, where, token=operator, document=_named(document))
        ids[name_of_id] = made.json.get("id", "")
    if "{user}" in operation.path:
        ids["user"] = await plane.person(
            f"owner-of-{name}",
            role=role,
            is_disabled=operation.name == "users.enable",
            let_in_by="user:x" if operation.name == "users.vouch" else "",
        )
    path = operation.path.replace(":path", "").format(**ids)
    path += "?size=0" * operation.takes_file
    path += "?comes=days&at=22:00" * (operation.name == "windows.preview")
    document = DOCUMENTS.get(operation.name)
    if operation.name == "windows.change":
        document = _named(A_WINDOW)
    if operation.name in OF_NAMED_MACHINES:
        document = {"names": [str(machine)]}
    if operation.name in OF_MACHINES:
        document = {**(document or {}), "machines": [str(machine)]}
    return Prepared(method=operation.method, path=path, document=document, machine=machine)


def _named(document: dict[str, str]) -> dict[str, str]:
    return {**document, "name": f"x {next(COUNT)}"} if "name" in document else document


def test_the_reviewed_list_names_every_operation_and_its_policy() -> None:
    declared = {o.name: " and ".join(map(str, o.needs)) for o in OPERATIONS}

    assert {name: row["policy"] for name, row in REVIEWED.items()} == declared


def test_the_reviewed_list_places_every_role_once() -> None:
    for operation in BY_TOKEN:
        row = REVIEWED[operation.name]
        assert sorted(row["allowed"] + row["refused"] + row["absent"]) == sorted(ROLES)


def test_the_router_serves_the_declared_paths_and_no_other() -> None:
    routed = {route.path for route in AdministratorsPlane().app.routes}

    assert routed == {o.path for o in OPERATIONS}


def test_an_operation_that_nobody_serves_stops_the_start() -> None:
    with pytest.raises(NotServed, match=r"nobody serves \['agents\.catalog', 'agents\.catch-up'"):
        build_application(OPERATIONS, {}, context=AdministratorsPlane().context)


def test_a_handler_for_what_nobody_declared_stops_the_start() -> None:
    async def handler(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("never called")

    table = Table(o for o in OPERATIONS if o.plane.is_interface)
    with pytest.raises(NotServed, match=r"nobody declared \['debug\.profile'\]"):
        build_application(table, {"debug.profile": handler}, context=AdministratorsPlane().context)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_holds_what_was_reviewed(role: str) -> None:
    """What whoever holds it is answered, the matrix of rights asks of the server."""
    holder = TokenHolder(token_id="0" * 12, name=role, rights=ROLES[role], expires_at=None)

    found = {o.name: _outcome(holder, o) for o in BY_TOKEN}

    assert found == {o.name: _place_of(REVIEWED[o.name], role) for o in BY_TOKEN}


def _outcome(holder: TokenHolder, operation: Operation) -> str:
    try:
        for need in operation.needs:
            check(holder, need, narrows=operation.narrows)
    except (NotFound, Refused) as error:
        return "absent" if isinstance(error, NotFound) else "refused"
    return "allowed"


def _place_of(row: dict[str, Any], role: str) -> str:
    return next(place for place in ("allowed", "refused", "absent") if role in row[place])


@pytest.mark.parametrize(
    "headers", [(), _FORGED], ids=["anonymous", "with the signature of an agent"]
)
def test_without_a_token_every_right_is_refused(headers: Any) -> None:
    async def outcomes() -> set[int]:
        plane = AdministratorsPlane()
        return {await call(plane, operation, headers=headers) for operation in BY_TOKEN}

    assert asyncio.run(outcomes()) == {401}


def test_an_administrators_token_opens_nothing_on_the_agents_plane() -> None:
    async def outcomes() -> dict[str, int]:
        plane = AdministratorsPlane()
        token = await plane.token(role="full-administrator")
        signed = [o for o in OPERATIONS if REVIEWED[o.name]["policy"] == "agent key"]
        return {o.name: await call(plane, o, token) for o in signed}

    assert set(asyncio.run(outcomes()).values()) == {401}


def test_without_a_right_the_answer_is_that_of_an_address_which_does_not_exist() -> None:
    async def answers() -> list[tuple[int, bytes]]:
        plane = AdministratorsPlane()
        machine = await plane.machine()
        token = await plane.token(role="")
        paths = [f"/api/v1/machines/{machine}", f"/api/v1/machines/{'0' * 32}", "/api/v1/nowhere"]
        got = [await plane.ask("GET", path, token=token) for path in paths]
        return [(a.status, a.body) for a in got]

    first, *others = asyncio.run(answers())
    assert first[0] == 404 and all(other == first for other in others)


def test_a_refusal_is_the_same_whether_or_not_the_thing_exists() -> None:
    async def answers() -> list[tuple[int, bytes]]:
        plane = AdministratorsPlane()
        machine = await plane.machine()
        token = await plane.token(role="auditor")
        paths = [f"/api/v1/machines/{machine}", f"/api/v1/machines/{'0' * 32}"]
        got = [await plane.ask("DELETE", path, token=token) for path in paths]
        return [(a.status, a.body) for a in got]

    there, absent = asyncio.run(answers())
    assert there == absent and there[0] == 403
