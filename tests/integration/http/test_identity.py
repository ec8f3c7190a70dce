"""S08: identity comes from the verified token, never from another header or the body."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from patchtide.domain.access.credentials import ApiTokenText
from patchtide.domain.access.rights import rights_of
from tests.integration.http.plane import AdministratorsPlane

FORWARDED = [
    "X-Forwarded-User",
    "X-Remote-User",
    "Remote_User",
    "REMOTE-USER",
    "X-Auth-Request-User",
    "X-SSL-Client-CN",
    "SSL_CLIENT_S_DN_CN",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Forwarded-For",
    "Forwarded",
    "X-HTTP-Method-Override",
    "Proxy-Authorization",
    "Cookie",
    "Authorization2",
    "X-Authorization",
]


async def whoami(plane: AdministratorsPlane, **more: Any) -> tuple[int, str]:
    answer = await plane.ask("GET", "/api/v1/whoami", **more)
    return answer.status, answer.json.get("name", answer.json.get("code"))


@pytest.mark.parametrize("header", FORWARDED)
def test_a_header_makes_nobody_somebody(header: str) -> None:
    async def found() -> set[tuple[int, str]]:
        plane = AdministratorsPlane()
        token = await plane.token(role="full-administrator")
        values = ["full-administrator", "admin", f"Bearer {token}", token, "127.0.0.1"]
        return {await whoami(plane, headers=[(header, v), (header, "root")]) for v in values}

    assert asyncio.run(found()) == {(401, "unauthenticated")}


@pytest.mark.parametrize("header", FORWARDED)
def test_a_header_makes_nobody_somebody_else(header: str) -> None:
    async def found() -> tuple[int, str]:
        plane = AdministratorsPlane()
        await plane.token(role="full-administrator")
        token = await plane.token(role="auditor")
        headers = [(header, "full-administrator"), ("Connection", f"close, {header}")]
        return await whoami(plane, token=token, headers=headers)

    assert asyncio.run(found()) == (200, "auditor")


def test_two_credentials_are_none() -> None:
    async def found() -> tuple[int, str]:
        plane = AdministratorsPlane()
        one, other = await plane.token(role="auditor"), await plane.token(role="engineer")
        return await whoami(plane, token=one, headers=[("Authorization", f"Bearer {other}")])

    assert asyncio.run(found()) == (401, "unauthenticated")


WRONG = {
    "another secret": lambda t: str(ApiTokenText(id=t.id, secret="0" * 64)),
    "another's id": lambda t: str(ApiTokenText(id="f" * 12, secret=t.secret)),
    "cut short": lambda t: str(t)[:-1],
    "in capitals": lambda t: str(t).upper(),
    "twice": lambda t: f"{t} {t}",
    "with a line break": lambda t: f"{t}\n",
    "empty": lambda t: " ",
}


@pytest.mark.parametrize("spelling", WRONG.values(), ids=WRONG)
def test_only_the_very_token_is_accepted(spelling: Any) -> None:
    async def found() -> tuple[int, str]:
        plane = AdministratorsPlane()
        text = ApiTokenText.read(await plane.token(role="auditor"))
        assert text is not None
        return await whoami(plane, token=spelling(text))

    assert asyncio.run(found()) == (401, "unauthenticated")


def test_the_body_says_nothing_about_who_asks() -> None:
    async def actors() -> list[str]:
        plane = AdministratorsPlane()
        token = await plane.token(role="full-administrator")
        claim = {"actor": "system", "created_by": "system", "principal": "root"}
        refused = await plane.ask("POST", "/api/v1/tokens", token=token, document=claim)
        assert [p["what"] for p in refused.json["problems"]] == ["is unknown"] * 3
        made = await plane.ask("POST", "/api/v1/tokens", token=token, document={})
        assert made.status == 201
        return [e.actor for e in plane.storage.entries]

    assert asyncio.run(actors()) == ["api-token:000000000001"]


def test_a_revoked_token_ends_at_once_here_and_within_a_second_elsewhere() -> None:
    async def statuses() -> list[int]:
        here = AdministratorsPlane()
        elsewhere = AdministratorsPlane(storage=here.storage, clock=here.clock)
        admin = await here.token(role="full-administrator")
        other = await here.token(role="auditor")
        found = [(await whoami(plane, token=other))[0] for plane in (here, elsewhere)]
        await here.ask("DELETE", "/api/v1/api-tokens/000000000002", token=admin)
        found.append((await whoami(here, token=other))[0])
        here.clock.advance(seconds=1)
        return [*found, (await whoami(elsewhere, token=other))[0]]

    assert asyncio.run(statuses()) == [200, 200, 401, 401]


def test_a_token_ends_on_its_day_and_never_hands_on_a_longer_life() -> None:
    async def story() -> tuple[str, list[int]]:
        plane = AdministratorsPlane()
        admin = await plane.token(role="full-administrator")
        make = {"name": "short", "role": "full-administrator", "days": 2}
        short = (await plane.ask("POST", "/api/v1/api-tokens", token=admin, document=make)).json
        longer = {"name": "long", "role": "full-administrator", "days": 300}
        child = await plane.ask("POST", "/api/v1/api-tokens", token=short["token"], document=longer)
        before = (await whoami(plane, token=child.json["token"]))[0]
        plane.clock.advance(days=2)
        after = (await whoami(plane, token=child.json["token"]))[0]
        return child.json["expires_at"], [before, after]

    assert asyncio.run(story()) == ("2026-03-04T12:00:00Z", [200, 401])


def test_nobody_hands_on_a_right_he_lacks() -> None:
    async def answer() -> tuple[int, str]:
        plane = AdministratorsPlane()
        token = await plane.token(rights=rights_of(["accounts.create", "accounts.read"]))
        wish = {"name": "n", "rights": ["accounts.read", "machines.delete"]}
        made = await plane.ask("POST", "/api/v1/api-tokens", token=token, document=wish)
        return made.status, made.json["detail"]

    assert asyncio.run(answer()) == (403, "you cannot hand on what you lack: machines.delete")
