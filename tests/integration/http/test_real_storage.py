"""The administrators' plane over the real databases: the same answers, and a chain that holds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from patchtide.adapters.storage.storage import Storage
from patchtide.server.operations import OPERATIONS
from tests.integration.http.memory_storage import TERMS, UPDATE
from tests.integration.http.plane import CODE, AdministratorsPlane
from tests.integration.http.test_policy import BY_PERSON, call
from tests.simulator.catalogs import Catalog, a_leaf, some_details

pytestmark = pytest.mark.anyio
OTHERS = {"site.bootstrap", "alerts.acknowledge", *BY_PERSON}
"""What needs somebody, or something that is bad, has tests of its own."""
DECIDING = [
    o
    for o in OPERATIONS
    if o.audited and o.handler and o.plane.is_interface and o.name not in OTHERS
]
MADE_AGAIN = {
    "searches.rename": "searches.save",
    "searches.rename-own": "searches.keep",
    "searches.share": "searches.keep",
    "lists.rename": "lists.create",
}
"""What has another name or owner now is made once more, for those that come after."""
BY = "api-token:000000000001"


async def test_each_decision_leaves_one_entry_and_the_chain_holds(storage: Storage) -> None:
    catalog = Catalog(storage)
    told = replace(some_details("openssl"), update=UPDATE, licence=TERMS)
    await catalog.publish([replace(a_leaf(1, "openssl"), update=UPDATE)], details=[told])
    plane = AdministratorsPlane(storage=storage, catalog=catalog)
    token = await plane.token(role="full-administrator")
    machines = iter(range(100))
    done: list[str] = []

    async def status(operation: Any) -> int:
        done.append(operation.name)
        found = await call(plane, operation, token, name=f"web-{next(machines)}")
        if operation.name == "catalog.synchronise":
            # It publishes beside: whoever withdraws meanwhile is told to read again.
            while plane.context.synchronisations.runs(limit=1)[0].state == "running":
                await asyncio.sleep(0.02)
        if again := MADE_AGAIN.get(operation.name):
            await status(OPERATIONS[again])
        return found

    assert {o.name: await status(o) for o in DECIDING if o.name != "api-tokens.revoke"} == {
        o.name: o.status for o in DECIDING if o.name != "api-tokens.revoke"
    }
    revoked = await plane.ask("DELETE", "/api/v1/api-tokens/000000000001", token=token)
    assert revoked.status == 204

    entries = await asyncio.to_thread(storage.audit, limit=500)
    declared = {o.name for o in OPERATIONS}  # what a synchronisation does comes when it comes
    assert [e.operation for e in entries if e.actor == BY and e.operation in declared] == [
        *done,
        "api-tokens.revoke",
    ]
    verdict = await plane.ask(
        "GET", "/api/v1/audit/verification", token=await plane.token(role="auditor")
    )
    assert verdict.json == {"intact": True, "sequence": None, "what": ""}


async def test_questions_are_answered_from_the_database(storage: Storage) -> None:
    plane = AdministratorsPlane(storage=storage)
    token = await plane.token(role="auditor")
    names = [f"web-{n}" for n in range(5)]
    ids = [str(await plane.machine(name)) for name in names]

    first = (await plane.ask("GET", "/api/v1/machines?limit=3", token=token)).json
    rest = (await plane.ask("GET", f"/api/v1/machines?after={first['next']}", token=token)).json
    shown = (await plane.ask("GET", f"/api/v1/machines/{ids[4]}", token=token)).json

    assert [m["name"] for m in first["items"] + rest["items"]] == names
    assert rest["next"] is None
    assert (shown["id"], shown["name"], shown["scan"]) == (ids[4], "web-4", "none")
    health = await plane.ask("GET", "/api/v1/health")
    assert health.json == {"status": "ok"}


async def test_of_many_claims_at_once_through_two_nodes_one_succeeds(database_url: str) -> None:
    storages = [Storage.open(database_url) for _ in range(2)]
    try:
        nodes = [AdministratorsPlane(storage=s) for s in storages]
        claims = [
            node.ask("POST", "/api/v1/bootstrap", document={"code": CODE})
            for node in nodes
            for _ in range(5)
        ]
        statuses = sorted(a.status for a in await asyncio.gather(*claims))

        assert statuses == [201] + [404] * 9
        assert len(storages[0].api_tokens()) == 1
    finally:
        for storage in storages:
            await storage.close()


async def test_a_revocation_holds_at_another_node_within_a_second(database_url: str) -> None:
    storages = [Storage.open(database_url) for _ in range(2)]
    try:
        here, elsewhere = (AdministratorsPlane(storage=s) for s in storages)
        admin, other = await here.token(role="full-administrator"), await here.token(role="auditor")
        before = await elsewhere.ask("GET", "/api/v1/whoami", token=other)
        await here.ask("DELETE", "/api/v1/api-tokens/000000000002", token=admin)
        elsewhere.clock.advance(seconds=1)
        after = await elsewhere.ask("GET", "/api/v1/whoami", token=other)

        assert (before.status, after.status) == (200, 401)
    finally:
        for storage in storages:
            await storage.close()


async def test_whoever_put_a_backup_back_says_so_and_everything_is_asked_for_anew(
    storage: Storage,
) -> None:
    plane = AdministratorsPlane(storage=storage)
    await plane.machine("web-1")
    before = await asyncio.to_thread(storage.epoch)
    token = await plane.token(role="full-administrator")

    done = await plane.ask(
        "POST", "/api/v1/restored", token=token, document={"numbers_above": 70_000}
    )

    assert (done.status, done.json["lost"], done.json["named_until"]) == (200, 0, None)
    assert (await asyncio.to_thread(storage.epoch)).epoch != before.epoch
    assert [s.full_report for s in storage.standings_after(0, limit=10)] == [True]
    entry = storage.audit(limit=500)[-1]
    assert (entry.operation, entry.detail) == (
        "site.mark-restored",
        {"numbers_above": 70_000, "lost": 0},
    )
    now = plane.clock.now()
    assert await storage.decide("a", "o", lambda tx: tx.allot_numbers(1), now=now) > 70_000
