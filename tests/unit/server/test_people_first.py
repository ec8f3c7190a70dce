"""Machines wait for whoever waits for a page, and not for long."""

from __future__ import annotations

import asyncio

import pytest

from patchtide.server import people_first
from patchtide.server.people_first import PeopleFirst

pytestmark = pytest.mark.anyio


async def of_a_machine(people: PeopleFirst, done: list[str]) -> None:
    await people.give_way()
    done.append("machine")


async def a_few_laps() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_machine_waits_for_nobody_where_nobody_is() -> None:
    done: list[str] = []

    await of_a_machine(PeopleFirst(), done)

    assert done == ["machine"]


async def test_a_machine_waits_until_the_last_page_is_served() -> None:
    people, done = PeopleFirst(), list[str]()
    with people.serving():
        with people.serving():
            machine = asyncio.create_task(of_a_machine(people, done))
            await a_few_laps()
        await a_few_laps()
        done.append("page")

    await machine

    assert done == ["page", "machine"]


async def test_a_page_that_takes_long_is_waited_for_no_longer_than_patience_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(people_first, "PATIENCE_S", 0.01)
    people, done = PeopleFirst(), list[str]()
    with people.serving():
        await asyncio.gather(*(of_a_machine(people, done) for _ in range(3)))
        done.append("page")

    assert done == ["machine"] * 3 + ["page"]


async def test_a_machine_that_went_away_keeps_nobody_waiting() -> None:
    people, done = PeopleFirst(), list[str]()
    with people.serving():
        gone, stays = (asyncio.create_task(of_a_machine(people, done)) for _ in range(2))
        await a_few_laps()
        gone.cancel()

    await stays

    assert done == ["machine"]


async def test_a_page_that_fails_is_served_too() -> None:
    people = PeopleFirst()
    with pytest.raises(ZeroDivisionError), people.serving():
        raise ZeroDivisionError

    assert not people.is_somebody_there
