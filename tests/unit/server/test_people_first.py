"""Machines wait for whoever waits for a page, and not for long."""

from __future__ import annotations

import asyncio

import pytest

from patchtide.server import people_first
from patchtide.server.people_first import PeopleFirst

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def one_machine_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_first, "FEW", 1)


class Machines:
    """Each is answered when the test says so."""

    def __init__(self, people: PeopleFirst) -> None:
        self.people = people
        self.begun: list[str] = []
        self._may_end = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def come(self, *names: str) -> list[asyncio.Task[None]]:
        came = [asyncio.create_task(self._asked(name)) for name in names]
        self._tasks += came
        await a_few_laps()
        return came

    async def end(self) -> None:
        self._may_end.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _asked(self, name: str) -> None:
        async with self.people.giving_way():
            self.begun.append(name)
            await self._may_end.wait()


async def a_few_laps() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_machines_wait_for_nobody_where_nobody_is() -> None:
    machines = Machines(PeopleFirst())
    await machines.come("a", "b", "c")

    assert machines.begun == ["a", "b", "c"]
    await machines.end()


async def test_few_are_worked_on_while_somebody_waits_and_the_others_come_after_the_last_page() -> (
    None
):
    machines = Machines(people := PeopleFirst())
    with people.serving():
        with people.serving():
            await machines.come("a", "b", "c")
        await a_few_laps()
        assert machines.begun == ["a"]
    await a_few_laps()

    assert machines.begun == ["a", "b", "c"]
    await machines.end()


async def test_who_is_answered_makes_room_for_the_next() -> None:
    machines = Machines(people := PeopleFirst())
    with people.serving():
        await machines.come("a", "b", "c")
        await machines.end()

        assert machines.begun == ["a", "b", "c"]


async def test_a_page_is_waited_for_no_longer_than_patience_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(people_first, "PATIENCE_S", 0.01)
    machines = Machines(people := PeopleFirst())
    with people.serving():
        await machines.come("a", "b", "c")
        await asyncio.sleep(0.05)

        assert machines.begun == ["a", "b", "c"]
    await machines.end()


async def test_who_went_away_takes_nobodys_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_first, "PATIENCE_S", 3600)
    machines = Machines(people := PeopleFirst())
    with people.serving():
        _, gone, _ = await machines.come("a", "b", "c")
        gone.cancel()
        await machines.end()

        assert machines.begun == ["a", "c"]


async def test_a_page_that_fails_is_over_too() -> None:
    machines = Machines(people := PeopleFirst())
    with pytest.raises(ZeroDivisionError), people.serving():
        raise ZeroDivisionError
    await machines.come("a", "b")

    assert machines.begun == ["a", "b"]
    await machines.end()
