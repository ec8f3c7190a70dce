"""S16: too much within an hour is refused, and said in the audit; by whatever token it is asked."""

from __future__ import annotations

import asyncio

from tests.integration.http.plane import AdministratorsPlane


def test_the_third_machine_within_the_hour_is_not_retired_by_another_token_either() -> None:
    async def story() -> tuple[list[int], str, list[str], int]:
        plane = AdministratorsPlane()
        token = await plane.token(role="full-administrator")
        second = await plane.minted(token)
        machines = [await plane.machine(f"web-{n}") for n in range(3)]
        limits = {"person": 2, "site": 9}
        await plane.ask("PUT", "/api/v1/settings/limits", token=token, document=limits)

        async def retire(number: int, by: str) -> int:
            path = f"/api/v1/machines/{machines[number]}"
            answer = await plane.ask("DELETE", path, token=by)
            if answer.status != 204:
                said.append(answer.json["code"])
            return answer.status

        said: list[str] = []
        got = [await retire(0, token), await retire(1, second), await retire(2, second)]
        noted = [e.operation for e in plane.storage.audit(limit=100) if e.subject == "site"]
        plane.clock.advance(hours=1)
        return got, said[0], noted, await retire(2, second)

    got, said, noted, later = asyncio.run(story())

    assert got == [204, 204, 429] and said == "hourly-limit"
    assert noted.count("limits.reached") == 1
    assert later == 204
