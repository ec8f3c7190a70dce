"""S36: what one caller may do, and that the memory for it is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from patchtide.adapters.http.limits import Buckets, Rate, Rates, caller_key
from patchtide.adapters.http.problems import TooOften
from patchtide.server.people_first import PeopleFirst
from tests.integration.http.plane import CODE, GENEROUS, AdministratorsPlane, Answer

FEW = Rate(per_s=0.5, burst=3)


class HandTime:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def test_a_bucket_lets_its_burst_through_and_then_its_rate() -> None:
    time = HandTime()
    buckets = Buckets(FEW, monotonic=time)
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(TooOften) as refused:
        buckets.take("a")

    assert refused.value.retry_after_s == 2
    buckets.take("b")  # another caller is not held up
    time.at = 2
    buckets.take("a")


def test_a_million_callers_cost_the_memory_of_the_last_few() -> None:
    buckets = Buckets(FEW, kept=100)
    for number in range(5_000):
        buckets.take(str(number))

    assert len(buckets) == 100


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_a_caller_is_an_address_or_an_ipv6_network(one: str, other: str, are_one: bool) -> None:
    assert (caller_key((one, 1)) == caller_key((other, 2))) is are_one


class NotedPeople(PeopleFirst):
    served = there = 0

    @contextmanager
    def serving(self) -> Iterator[None]:
        self.served += 1
        self.there += 1
        with super().serving():
            yield
        self.there -= 1


@pytest.mark.anyio
async def test_machines_wait_for_pages_but_not_for_programs_nor_for_forms_on_their_way() -> None:
    plane = AdministratorsPlane(people=NotedPeople())
    seen = []
    for method, path in (
        ("GET", "/sign-in"), ("GET", "/api/v1/health"), ("POST", "/sign-in"), ("GET", "/machines"),
    ):  # fmt: skip
        await plane.ask(method, path)
        seen.append(plane.people.served)  # type: ignore[attr-defined]

    assert seen == [1, 1, 1, 2]
    assert plane.people.there == 0  # type: ignore[attr-defined]


async def ask_often(plane: AdministratorsPlane, count: int, token: str) -> list[Answer]:
    return [await plane.ask("GET", "/api/v1/whoami", token=token) for _ in range(count)]


def test_a_holder_has_its_own_rate() -> None:
    async def statuses() -> tuple[list[int], int]:
        few = Rates(holder=FEW, anonymous=GENEROUS, failure=GENEROUS, claim=GENEROUS)
        plane = AdministratorsPlane(rates=few)
        one, other = await plane.token(role="auditor"), await plane.token(role="engineer")
        answers = await ask_often(plane, 4, one)
        assert int(answers[-1].headers["retry-after"]) >= 1
        return [a.status for a in answers], (await ask_often(plane, 1, other))[0].status

    assert asyncio.run(statuses()) == ([200, 200, 200, 429], 200)


def test_who_guesses_tokens_is_slowed_down_without_shutting_out_his_neighbour() -> None:
    async def statuses() -> tuple[list[int], int]:
        few = Rates(holder=GENEROUS, anonymous=GENEROUS, failure=FEW, claim=GENEROUS)
        plane = AdministratorsPlane(rates=few)
        known = await plane.token(role="auditor")
        await ask_often(plane, 1, known)
        guesses = await ask_often(plane, 4, f"ptk_{'0' * 12}_{'0' * 64}")
        return [a.status for a in guesses], (await ask_often(plane, 1, known))[0].status

    assert asyncio.run(statuses()) == ([401, 401, 401, 429], 200)


def test_claims_are_slow_whatever_else_is_allowed() -> None:
    async def statuses() -> list[int]:
        plane = AdministratorsPlane(rates=Rates())
        codes = ["wrong"] * 5 + [CODE]
        answers = [
            await plane.ask("POST", "/api/v1/bootstrap", document={"code": c}) for c in codes
        ]
        return [a.status for a in answers]

    assert asyncio.run(statuses()) == [404] * 5 + [429]
