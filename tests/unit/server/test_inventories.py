"""Bodies are asked for once, references are written in batches, and nothing is read meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from patchtide.domain.errors import TooMuch, Unavailable
from patchtide.server import inventories as module
from patchtide.server.inventories import BURST, Inventories
from patchtide.server.ports.reports import HeldInventory
from patchtide.wire.inventory import package_list
from patchtide.wire.sets import pack

pytestmark = pytest.mark.anyio
OLD, NEW = b"o" * 32, b"n" * 32


class FakeBodies:
    """Bodies by digest, and every question that was asked."""

    def __init__(self, *digests: bytes) -> None:
        self.bodies = dict.fromkeys(digests, b"")
        self.held: list[HeldInventory] = []
        self.reads = self.batches = 0
        self.breaks: Exception | None = None

    def inventory_digests(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[bytes]:
        self.reads += 1
        return sorted(d for d in self.bodies if d > after)[:limit]

    async def put_inventory(
        self, client: int, *, kind: str, digest: bytes, body: bytes, now: float
    ) -> None:
        self.bodies[digest] = body

    async def hold_inventory(self, held: Sequence[HeldInventory]) -> frozenset[bytes]:
        if self.breaks is not None:
            raise self.breaks
        self.batches += 1
        self.held += [h for h in held if h.digest in self.bodies]
        return frozenset(h.digest for h in held) - self.bodies.keys()


def loaded(bodies: FakeBodies) -> Inventories:
    made = Inventories(bodies, bodies)  # type: ignore[arg-type]
    made.load()
    return made


async def lacking(inventories: Inventories, digest: bytes, client: int = 1) -> tuple[str, ...]:
    return await inventories.lacking(client, {"packages": digest}, now=1.0)


async def took(inventories: Inventories, digest: bytes, *, now: float = 1.0) -> None:
    await inventories.take(
        1, kind="packages", digest=digest, packed=pack(package_list([])), now=now
    )


async def test_only_a_body_that_nobody_sent_is_asked_for() -> None:
    inventories = loaded(FakeBodies(OLD))

    assert [await lacking(inventories, d) for d in (OLD, NEW)] == [(), ("packages",)]


async def test_who_has_sent_too_many_is_refused_before_anything_is_unpacked() -> None:
    inventories = loaded(FakeBodies())
    for number in range(10):
        await took(inventories, bytes([number]) * 32)

    with pytest.raises(TooMuch):
        await inventories.take(1, kind="packages", digest=NEW, packed=b"no zstd", now=1.0)


async def test_a_kind_that_is_not_known_here_is_passed_over() -> None:
    assert await loaded(FakeBodies()).lacking(1, {"firmware": NEW}, now=1.0) == ()


async def test_a_thousand_machines_at_once_cost_one_batch_and_no_question() -> None:
    bodies = FakeBodies(OLD)
    inventories = loaded(bodies)
    before = bodies.reads

    await asyncio.gather(*(lacking(inventories, OLD, client) for client in range(1000)))

    assert (bodies.reads - before, bodies.batches) == (0, 1)
    assert sorted(h.client for h in bodies.held) == list(range(1000))


async def test_a_machine_that_names_nothing_does_not_wait() -> None:
    answer = loaded(FakeBodies(OLD)).lacking(1, {}, now=1.0)

    with pytest.raises(StopIteration) as done:
        answer.send(None)
    assert done.value.value == ()


async def test_what_somebody_wants_anew_is_asked_for_once() -> None:
    inventories = loaded(FakeBodies(OLD))
    inventories.want(1, ("packages",))
    inventories.want(1, ("facts",))

    assert [await lacking(inventories, OLD, client) for client in (2, 1, 1)] == [
        (),
        ("facts", "packages"),
        (),
    ]


async def test_what_could_not_be_stored_is_not_acknowledged() -> None:
    bodies = FakeBodies(OLD)
    inventories = loaded(bodies)
    bodies.breaks = Unavailable()

    with pytest.raises(Unavailable):
        await lacking(inventories, OLD)
    bodies.breaks = None
    assert await lacking(inventories, OLD) == ()
    assert [h.digest for h in bodies.held] == [OLD]


async def test_one_that_goes_away_does_not_take_the_others_batch_with_it() -> None:
    bodies = FakeBodies(OLD)
    inventories = loaded(bodies)
    impatient = asyncio.create_task(lacking(inventories, OLD, 1))
    patient = asyncio.create_task(lacking(inventories, OLD, 2))
    await asyncio.sleep(0)

    impatient.cancel()

    assert await patient == ()
    assert [h.client for h in bodies.held] == [1, 2]


async def test_a_body_that_was_trimmed_is_asked_for_at_once() -> None:
    bodies = FakeBodies(OLD)
    inventories = loaded(bodies)
    bodies.bodies.clear()

    assert await lacking(inventories, OLD) == ("packages",)


async def test_what_comes_while_the_bodies_are_read_again_stays_known() -> None:
    bodies = FakeBodies(OLD)
    inventories = loaded(bodies)
    reading = asyncio.create_task(inventories.reload(now=1.0))
    await asyncio.sleep(0)
    bodies.bodies.pop(OLD)
    await took(inventories, NEW)
    bodies.bodies.pop(NEW)  # the pages were read before it came

    await reading

    assert NEW in inventories._known


async def test_one_machine_cannot_fill_the_database_with_lists() -> None:
    inventories = loaded(FakeBodies())
    for n in range(int(BURST)):
        await took(inventories, bytes([n]) * 32)

    with pytest.raises(TooMuch):
        await took(inventories, NEW)
    await took(inventories, NEW, now=700.0)
    assert await lacking(inventories, NEW) == ()


async def test_of_many_bodies_at_once_one_is_unpacked_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy: list[int] = []

    def checked(kind: str, packed: bytes) -> bytes:
        busy.append(len(busy) + 1)
        time.sleep(0.01)
        seen.append(len(busy))
        busy.pop()
        return b""

    seen: list[int] = []
    monkeypatch.setattr(module, "_checked", checked)
    inventories = loaded(FakeBodies())

    await asyncio.gather(*(took(inventories, bytes([number]) * 32) for number in range(5)))

    assert seen == [1] * 5
