"""Nobody locks himself out, alone or by two revocations at once, on both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from patchtide.adapters.storage.storage import Storage
from patchtide.domain.access.rights import ROLES
from tests.integration.http.plane import AdministratorsPlane, Answer

pytestmark = pytest.mark.anyio
FIRST, SECOND = "000000000001", "000000000002"


async def revoke(plane: AdministratorsPlane, token_id: str, *, by: str) -> Answer:
    return await plane.ask("DELETE", f"/api/v1/api-tokens/{token_id}", token=by)


async def test_the_last_administrator_cannot_revoke_himself(storage: Storage) -> None:
    plane = AdministratorsPlane(storage=storage)
    admin = await plane.token(role="full-administrator")
    await plane.token(role="auditor")

    refused = await revoke(plane, FIRST, by=admin)

    assert (refused.status, refused.json["code"]) == (409, "last-administrator")
    assert "accounts.administer" in refused.json["detail"]
    assert (await plane.ask("GET", "/api/v1/whoami", token=admin)).status == 200
    assert [e.operation for e in storage.audit() if e.operation == "api-tokens.revoke"] == []


async def test_with_another_administrator_he_can(storage: Storage) -> None:
    plane = AdministratorsPlane(storage=storage)
    admin = await plane.token(role="full-administrator")
    await plane.token(role="full-administrator")

    assert (await revoke(plane, FIRST, by=admin)).status == 204


async def test_who_holds_no_more_than_others_can_always_go(storage: Storage) -> None:
    plane = AdministratorsPlane(storage=storage)
    admin = await plane.token(role="full-administrator")
    await plane.token(role="auditor")

    assert (await revoke(plane, SECOND, by=admin)).status == 204
    assert (await revoke(plane, SECOND, by=admin)).status == 404


@pytest.mark.parametrize(("hours", "status"), [(23, 409), (25, 204)])
async def test_one_that_is_about_to_end_keeps_nobody_in(
    storage: Storage, hours: int, status: int
) -> None:
    plane = AdministratorsPlane(storage=storage)
    admin = await plane.token(role="full-administrator")
    await plane.ask(
        "POST",
        "/api/v1/api-tokens",
        token=admin,
        document={"name": "other", "role": "full-administrator", "days": 2},
    )
    plane.clock.advance(hours=48 - hours)

    assert (await revoke(plane, FIRST, by=admin)).status == status


async def test_of_two_who_revoke_each_other_at_once_one_stays(database_url: str) -> None:
    storages = [Storage.open(database_url) for _ in range(2)]
    try:
        here, there = (AdministratorsPlane(storage=s) for s in storages)
        for _ in range(8):
            admins = [await here.token(role="full-administrator") for _ in range(2)]
            ids = [text.split("_")[1] for text in admins]
            await drop_all_but(here, ids)
            for plane, admin in ((here, admins[0]), (there, admins[1])):
                # Both have been let in already: only the transaction can tell them apart.
                assert (await plane.ask("GET", "/api/v1/whoami", token=admin)).status == 200

            said = await asyncio.gather(
                revoke(here, ids[1], by=admins[0]), revoke(there, ids[0], by=admins[1])
            )

            assert sorted(a.status for a in said) == [204, 401]
            live = [t for t in storages[0].api_tokens() if t.revoked_at is None]
            assert [set(t.rights) for t in live] == [full()]
    finally:
        for storage in storages:
            await storage.close()


def full() -> set[str]:
    return {str(right) for right in ROLES["full-administrator"]}


async def drop_all_but(plane: AdministratorsPlane, ids: list[str]) -> None:
    """Revoke what earlier rounds left, past all rules."""
    now = plane.clock.now() - timedelta(hours=1)
    for token in plane.storage.api_tokens():
        if token.id not in ids and token.revoked_at is None:

            def work(tx: object, token_id: str = token.id) -> None:
                tx.revoke_api_token(token_id, now=now)  # type: ignore[attr-defined]

            await plane.storage.decide("test", "test", work, now=now)
