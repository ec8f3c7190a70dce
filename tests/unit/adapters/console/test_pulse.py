"""However many pages are open, they are told of one look at the fleet."""

from __future__ import annotations

import asyncio

import pytest

from patchtide.adapters.console.pulse import Pulse
from tests.simulator.clock import FakeClock

pytestmark = pytest.mark.anyio


class Looks:
    def __init__(self, machines: int) -> None:
        self.machines = machines
        self.count = 0

    async def __call__(self) -> tuple[str, int]:
        self.count += 1
        await asyncio.sleep(0)
        return f"word {self.count}", self.machines


async def test_all_pages_that_ask_at_once_are_told_of_one_look() -> None:
    looks = Looks(machines=1_000)
    pulse = Pulse(looks, FakeClock())

    said = await asyncio.gather(*(pulse.word() for _ in range(100)))

    assert (set(said), looks.count) == ({"word 1"}, 1)


@pytest.mark.parametrize(("machines", "seconds"), [(0, 1), (1_000, 1), (100_000, 20)])
async def test_a_large_fleet_is_looked_at_less_often(machines: int, seconds: int) -> None:
    clock = FakeClock()
    pulse = Pulse(Looks(machines), clock)
    assert await pulse.word() == "word 1"

    clock.advance(seconds=seconds - 0.1)
    assert await pulse.word() == "word 1"
    clock.advance(seconds=0.2)
    assert await pulse.word() == "word 2"


async def test_a_look_that_failed_is_taken_again() -> None:
    looks = Looks(machines=1)

    async def look() -> tuple[str, int]:
        if not looks.count:
            looks.count += 1
            raise OSError
        return await looks()

    pulse = Pulse(look, FakeClock())
    with pytest.raises(OSError):
        await pulse.word()

    assert await pulse.word() == "word 2"
