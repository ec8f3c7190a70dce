"""One answer for all that is new: as good as file by file, never better than what is signed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from patchtide.adapters.http.catch_up import KEPT, WAITING, CatchUpEndpoint
from patchtide.adapters.transport.blobs import ContentBlobs
from patchtide.adapters.transport.carried import CarriedGetter
from patchtide.adapters.trust.catching_up import CatchUps
from patchtide.adapters.trust.client import TrustClient
from patchtide.agent.catalog import LocalCatalog
from patchtide.agent.ports.trust import TrustRefused
from patchtide.agent.ports.web import Reply
from patchtide.wire import catch_up
from patchtide.wire.catch_up import MAX_CATCH_UP, Asked, read_address
from tests.integration.catalog.node import Node, a_leaf, leaves, node
from tests.integration.http.test_files import get
from tests.simulator.databases import sqlite_url
from tests.simulator.machine import SimulatedMachine
from tests.simulator.signing import first_root

pytestmark = pytest.mark.anyio
SHARD = "debian-12"
SITE = "https://site"


class Wire:
    """A getter that reads a node's folders, and remembers what it was asked for."""

    def __init__(self, here: Node) -> None:
        self.folder = here.folder
        self.key = Ed25519PrivateKey.generate()
        self.asked: list[str] = []
        self.catch_ups = CatchUps(
            here.folder / "published",
            read_content=partial(here.content.read, at_most=MAX_CATCH_UP),
            sign=self.key.sign,
        )

    def answer(self, name: str) -> bytes | None:
        asked = read_address(name)
        return self.catch_ups.answer(asked) if asked else None

    @contextmanager
    def get(self, url: str, *, offset: int = 0, total_s: float, stall_s: float) -> Iterator[Reply]:
        plane, _, name = url.removeprefix(SITE + "/").partition("/")
        self.asked.append(plane)
        if plane == "since":
            body = self.answer(name)
        else:
            place = self.folder / {"catalog": "published"}.get(plane, plane) / name
            body = place.read_bytes() if place.exists() else None
        status = 404 if body is None else 200
        yield Reply(status=status, length=None, start=0, chunks=iter((body or b"",)))


class Machine:
    def __init__(self, here: Node, folder: Path, wire: Wire) -> None:
        self.wire = wire
        carried = CarriedGetter(
            wire,
            SITE,
            answer_key=wire.key.public_key().public_bytes_raw(),
            known=lambda shards: self.trust.known(shards),
        )
        self.trust = TrustClient(
            folder / "trust",
            first_root(here.signer),
            metadata_url=f"{SITE}/catalog/metadata/",
            targets_url=f"{SITE}/catalog/targets/",
            getter=carried,
            build_time=here.clock.now().timestamp() - 60,
        )
        simulated = SimulatedMachine()
        self.catalog = LocalCatalog(
            simulated.journal,
            trust=self.trust,
            blobs=ContentBlobs(SITE, carried),
            platform=simulated.platform,
            followed=[SHARD, "custom"],
            catch_up=carried,
        )
        self._here = here

    def look(self) -> Sequence[str]:
        """Bring the catalog up to date; return what was fetched for it."""
        self.wire.asked.clear()
        self.catalog.refresh({}, now=self._here.clock.now().timestamp(), root_version=1)
        return self.wire.asked


@pytest.fixture
async def here(tmp_path: Path) -> Iterator[Node]:  # type: ignore[misc]
    async with node(sqlite_url(tmp_path / "db"), tmp_path) as made:
        await made.publish(SHARD, *leaves(1, 40))
        yield made


@pytest.fixture
def machine(here: Node, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(here, tmp_path / "machine", Wire(here))
    made.look()
    yield made
    made.trust.close()


async def test_after_a_publication_one_answer_holds_all_that_is_asked_for(
    here: Node, machine: Machine
) -> None:
    for first in (41, 42):
        await here.publish(SHARD, *leaves(first, 1))

    assert machine.look() == ["since"]
    assert machine.catalog.serials()[SHARD] == here.index(SHARD).serial
    assert len(machine.catalog.leaves()) == 42
    assert machine.look() == ["since"]


async def test_who_has_other_bytes_or_older_ones_fetches_file_by_file(
    here: Node, machine: Machine, tmp_path: Path
) -> None:
    await here.publish(SHARD, *leaves(41, 1))
    cached = tmp_path / "machine/trust/metadata/feeds.json"
    cached.write_bytes(cached.read_bytes() + b" ")

    asked = machine.look()

    assert asked[0] == "since" and {"catalog", "content"} == set(asked[1:])
    assert machine.catalog.serials()[SHARD] == here.index(SHARD).serial


@pytest.mark.parametrize("place", [0, 70, -1])
async def test_an_answer_that_is_not_signed_is_not_even_unpacked(
    here: Node, machine: Machine, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    await here.publish(SHARD, *leaves(41, 1))
    given, answer = [], machine.wire.answer

    def bent(name: str) -> bytes:
        whole = bytearray(answer(name) or b"")
        whole[place] ^= 1
        return bytes(whole)

    monkeypatch.setattr(machine.wire, "answer", bent)
    monkeypatch.setattr(
        "patchtide.adapters.transport.carried.read_catch_up", lambda *each: given.append(each)
    )

    assert "content" in machine.look()
    assert given == []


async def test_a_site_that_signs_a_forged_answer_gains_nothing(
    here: Node, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of answers is none of those that sign the catalog."""
    await here.publish(SHARD, *leaves(41, 1))
    pack = catch_up.pack_catch_up

    def forged(document: catch_up.CatchUpV1, known: catch_up.Known) -> bytes | None:
        bent = [
            catch_up.CarriedV1(
                body=file.body.replace(b'"version":3', b'"version":4'), name=file.name
            )
            for file in document.files
        ]
        return pack(catch_up.CatchUpV1(files=tuple(bent)), known)

    monkeypatch.setattr("patchtide.adapters.trust.catching_up.pack_catch_up", forged)

    with pytest.raises(TrustRefused):
        machine.look()


async def test_an_answer_that_unpacks_to_more_than_it_may_is_let_be(
    here: Node, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await here.publish(SHARD, *leaves(41, 1))
    monkeypatch.setattr(
        "patchtide.adapters.trust.catching_up.pack_catch_up",
        lambda document, known: zstandard.compress(bytes(1 << 24)),
    )

    assert "content" in machine.look()
    assert machine.catalog.serials()[SHARD] == here.index(SHARD).serial


@pytest.mark.parametrize("each", [60, 30])
async def test_a_site_makes_no_answer_that_unpacks_to_more_than_machines_take(
    here: Node, machine: Machine, monkeypatch: pytest.MonkeyPatch, each: int
) -> None:
    """Neither of one delta that does, nor of several that do together."""
    monkeypatch.setattr(catch_up, "MAX_UNPACKED", 20_000)
    for first in (1000, 2000):
        long = [a_leaf(f"{n}-{'x' * 200}") for n in range(first, first + each)]
        await here.publish(SHARD, *long)
    known = machine.trust.known([SHARD])
    assert known is not None

    assert machine.wire.answer(catch_up.address_of(known, [SHARD])) is None
    assert "content" in machine.look()


async def test_no_answer_from_before_a_publication_is_given_after_it(
    here: Node, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = CatchUpEndpoint(machine.wire.catch_ups)
    known = machine.trust.known([SHARD])
    assert known is not None
    name = catch_up.address_of(known, [SHARD])
    before = await get(endpoint, name)

    await here.publish(SHARD, *leaves(41, 1))

    assert before and await get(endpoint, name) not in (before, b"")
    monkeypatch.setattr(CatchUps, "_named", lambda *_: pytest.fail("it was read for a wrong tag"))
    assert await get(endpoint, name.replace(known.tag(), "00000000")) == b""


class Slow:
    """A source that tells what it was asked, and answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.goes_on = threading.Event()

    def mark(self) -> object:
        return 1

    def answer(self, asked: Asked) -> bytes | None:
        self.asked.append(asked)
        self.goes_on.wait(10)
        return b"answer" if asked.root == 1 else None


async def test_a_crowd_that_stands_alike_waits_for_one_answer() -> None:
    slow = Slow()
    endpoint = CatchUpEndpoint(slow)
    crowd = [asyncio.create_task(get(endpoint, "1.1.0badcafe.a")) for _ in range(2 * WAITING)]
    while not slow.asked:
        await asyncio.sleep(0)
    crowd[0].cancel()
    slow.goes_on.set()

    assert await asyncio.gather(*crowd[1:]) == [b"answer"] * (2 * WAITING - 1)
    assert len(slow.asked) == 1


async def test_a_look_that_ends_late_takes_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, late, name = Slow(), asyncio.Event(), "1.1.0badcafe.a"
    slow.goes_on.set()
    marks = iter((1, 2, 2))
    monkeypatch.setattr(slow, "mark", lambda: next(marks))
    endpoint, threaded = CatchUpEndpoint(slow), asyncio.to_thread

    async def held_up(function: Any, *words: Any) -> Any:
        said = await threaded(function, *words)
        if said == (1, 1):
            await late.wait()
        return said

    monkeypatch.setattr(asyncio, "to_thread", held_up)
    first = asyncio.create_task(get(endpoint, name))
    while endpoint._looks < 1:
        await asyncio.sleep(0)
    assert await get(endpoint, name) == b"answer"
    late.set()

    assert [await first, await get(endpoint, name)] == [b"answer", b"answer"]
    assert len(slow.asked) == 1


async def test_questions_that_anybody_makes_up_push_no_answer_out() -> None:
    slow = Slow()
    slow.goes_on.set()
    endpoint = CatchUpEndpoint(slow)
    for name in ("1.1.0badcafe.a", *(f"2.{n}.0badcafe.a" for n in range(1, KEPT + 2))):
        await get(endpoint, name)

    assert await get(endpoint, "1.1.0badcafe.a") == b"answer"
    assert len(slow.asked) == KEPT + 2


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1.1.0badcafe.",
        "1.1.0badcafe.b+a",
        "1.1.0badcafe.a+a",
        "1.1.0badcafe.a+b",
        "0.1.0badcafe.a",
        "../x",
    ],
)
async def test_what_is_no_question_has_no_answer(name: str) -> None:
    assert read_address(name) is None
    assert read_address("1.12.0badcafe.custom+debian-12") == Asked(
        root=1, snapshot=12, tag="0badcafe", shards=("custom", "debian-12")
    )
