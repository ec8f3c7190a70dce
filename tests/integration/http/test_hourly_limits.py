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


def test_a_limit_that_one_person_lifts_is_of_no_use_within_the_hour() -> None:
    async def story() -> tuple[list[int], dict[str, int]]:
        plane = AdministratorsPlane()
        token = await plane.token(role="full-administrator")
        machines = [await plane.machine(f"web-{n}") for n in range(3)]

        async def set_limits(person: int) -> dict[str, int]:
            document = {"person": person, "site": 9}
            path = "/api/v1/settings/limits"
            return (await plane.ask("PUT", path, token=token, document=document)).json["higher"]

        async def retire(number: int) -> int:
            path = f"/api/v1/machines/{machines[number]}"
            return (await plane.ask("DELETE", path, token=token)).status

        await set_limits(1)
        first = await retire(0)
        higher = await set_limits(9)
        stopped = await retire(1)
        plane.clock.advance(minutes=59)
        still = await retire(1)
        plane.clock.advance(minutes=1)
        return [first, stopped, still, await retire(1), await retire(2)], higher

    statuses, higher = asyncio.run(story())

    assert statuses == [204, 429, 429, 204, 204] and higher == {"person": 9}


def test_a_machine_described_one_by_one_or_by_a_file_counts_as_in_one_go() -> None:
    async def story() -> list[int]:
        plane = AdministratorsPlane()
        token = await plane.token(role="full-administrator")
        machines = [str(await plane.machine(f"web-{n}")) for n in range(4)]
        limits = {"described": 3, "person": 1}
        await plane.ask("PUT", "/api/v1/settings/limits", token=token, document=limits)

        async def describe(*numbers: int, owner: str) -> int:
            document = {"machines": [machines[n] for n in numbers], "owner": owner}
            path = "/api/v1/machine-descriptions"
            return (await plane.ask("POST", path, token=token, document=document)).status

        async def take_in(csv: str) -> int:
            path, document = "/api/v1/machine-imports", {"csv": csv}
            return (await plane.ask("POST", path, token=token, document=document)).status

        return [
            await describe(0, owner="a"),
            await describe(0, owner="a"),
            await take_in("name,owner\nweb-1,a\nweb-2,a\n"),
            await take_in("name,owner\nweb-3,a\n"),
            await describe(3, owner="a"),
        ]

    # What changes nothing counts for nothing.
    assert asyncio.run(story()) == [200, 200, 200, 429, 429]


def test_whoever_uses_up_the_sites_limit_keeps_nobody_from_shutting_him_out() -> None:
    async def story() -> list[int]:
        plane = AdministratorsPlane()
        thief, keeper = [await plane.token(role="full-administrator") for _ in range(2)]
        user = await plane.person("thief")
        machine = await plane.machine("web-1")
        retired = await plane.machine("web-2")
        limits = {"person": 1, "site": 1}
        await plane.ask("PUT", "/api/v1/settings/limits", token=thief, document=limits)

        async def done(method: str, path: str, by: str = keeper) -> int:
            return (await plane.ask(method, f"/api/v1{path}", token=by)).status

        return [
            await done("DELETE", f"/machines/{retired}", by=thief),
            await done("POST", f"/machines/{machine}/full-report"),
            await done("POST", f"/users/{user}/disable"),
        ]

    assert asyncio.run(story()) == [204, 429, 204]
