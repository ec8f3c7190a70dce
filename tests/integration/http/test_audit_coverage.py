"""S19: each operation that decides something leaves exactly one audit entry, under its name."""

from __future__ import annotations

import asyncio

import pytest

from patchtide.domain.errors import Unavailable
from patchtide.server.operations import OPERATIONS
from patchtide.server.table import Operation
from tests.integration.http.plane import CODE, AdministratorsPlane
from tests.integration.http.test_policy import BY_PERSON, call

SERVED = [o for o in OPERATIONS if o.handler is not None and o.plane.is_interface]
DECIDING = [o for o in SERVED if o.audited and o.name not in BY_PERSON]
ASKING = [o for o in SERVED if not o.audited]


def test_there_is_something_to_cover() -> None:
    assert {o.name for o in DECIDING} >= {"site.bootstrap", "machines.approve", "tokens.create"}


@pytest.mark.parametrize("operation", DECIDING, ids=lambda o: o.name)
def test_a_decision_leaves_one_entry(operation: Operation) -> None:
    async def noted() -> list[tuple[str, str]]:
        plane = AdministratorsPlane()
        if operation.name == "site.bootstrap":
            answer = await plane.ask("POST", operation.path, document={"code": CODE})
            assert answer.status == 201
            return [(e.operation, e.actor) for e in plane.storage.entries]
        token = await plane.token(role="full-administrator")
        before = len(plane.storage.entries)
        assert await call(plane, operation, token) == operation.status
        made = plane.storage.entries[before:]
        # `call` prepares an enrolment token as another administrator; that one is not ours.
        return [(e.operation, e.actor) for e in made if e.actor == "api-token:000000000001"]

    found = asyncio.run(noted())
    assert [name for name, _ in found] == [operation.name]


@pytest.mark.parametrize("operation", ASKING, ids=lambda o: o.name)
def test_a_question_leaves_none(operation: Operation) -> None:
    async def noted() -> list[str]:
        plane = AdministratorsPlane()
        token = await plane.token(role="full-administrator")
        await call(plane, operation, token)
        return [e.operation for e in plane.storage.entries if e.actor == "api-token:000000000001"]

    assert asyncio.run(noted()) == []


def test_what_could_not_be_stored_is_not_answered_as_done() -> None:
    async def answer() -> tuple[int, dict[str, str]]:
        plane = AdministratorsPlane()
        token = await plane.token(role="full-administrator")
        plane.storage.breaks = Unavailable()
        made = await plane.ask("POST", "/api/v1/tokens", token=token, document={})
        return made.status, made.headers

    status, headers = asyncio.run(answer())
    assert status == 503 and "retry-after" in headers
