"""A view that goes on from what an earlier run wrote down says what one made anew says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import Struct, defstruct

from patchtide.adapters.storage import Storage
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_checkpoint import FORMAT, read, shape_of, written
from patchtide.server.fleet_view import View
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.following import Cursor
from patchtide.server.ports.reports import Presence
from patchtide.wire.messages import HealthV1, encode
from tests.simulator.catalogs import Catalog, a_leaf, a_scan, some_details
from tests.simulator.clock import FakeClock
from tests.simulator.reports import NOON, enrolled
from tests.simulator.restoring import mark_restored

pytestmark = pytest.mark.anyio


class Kept:
    """What is written down, in memory."""

    data: bytes | None = None
    age = 0.0

    def read(self) -> bytes | None:
        return self.data

    def age_s(self) -> float:
        return self.age

    def write(self, parts: Iterable[bytes]) -> None:
        self.data = b"".join(parts)


class Sparing:
    """A store that counts the rows that are read through from the first on."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.read_through = 0

    def __getattr__(self, name: str) -> Any:
        self.read_through += name in ("states", "clients")
        return getattr(self._storage, name)


class Site:
    """Two runs of a server over one database: `leave` ends the first, `again` is the next."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.clock = FakeClock(NOON)
        self.catalog = Catalog(storage)
        self.kept = Kept()
        self.machines: list[Client] = []
        self.store = Sparing(storage)

    async def begin(self) -> None:
        leaves = [a_leaf(1, "openssl"), a_leaf(2, "curl"), a_leaf(3, "bash")]
        await self.catalog.publish(leaves, details=[some_details("openssl")])
        self.machines = await enrolled(self.storage, 4)
        one, two, three, _ = (m.number for m in self.machines)
        await self.report(one, 1, required=[1, 2], installed=[3])
        await self.report(two, 1, installed=[1], unknown=[2, 9])
        await self.report(three, 1, installed=[1, 2, 3])
        health = encode(HealthV1(restart_pending=True))
        seen = Presence(client=three, counter=1, seen_at=NOON.timestamp(), health=health)
        await self.storage.flush_presence([seen])

    async def report(self, number: int, counter: int, **said: Any) -> None:
        scan = a_scan(number, counter, serial=self.catalog.serial, **said)
        await self.storage.accept([scan], now=self.clock.now().timestamp())

    def leave(self) -> None:
        fleet = self.run()
        fleet.ask(lambda view: view.version)
        fleet.save()

    def run(self) -> Fleet:
        self.store = Sparing(self.storage)
        return Fleet(self.store, self.catalog, self.clock, patience_s=10, keeping=self.kept)  # type: ignore[arg-type]

    def again(self) -> object:
        return self.run().ask(everything)

    def anew(self) -> object:
        return Fleet(self.storage, self.catalog, self.clock, patience_s=10).ask(everything)


def everything(view: View) -> object:
    return (
        [(update.title, view.held(update)) for update in view.updates.values()],
        {number: (s.judgement, s.tally) for number, s in view.standings().items()},
        {number: m.client for number, m in view.members.items()},
        view.restarting,
    )


@pytest.fixture
async def site(storage: Storage) -> Site:
    made = Site(storage)
    await made.begin()
    return made


async def reports(site: Site) -> None:
    one, two, _, four = (m.number for m in site.machines)
    await site.report(one, 2, installed=[1, 2, 3])
    await site.report(two, 2, scan="failed")
    await site.report(four, 1, required=[3])


async def publishes(site: Site) -> None:
    curl = a_leaf(2, "curl", "2.1-1", revision=2)
    await site.catalog.publish([curl, a_leaf(9, "zlib")], drops=[3])
    await site.report(site.machines[0].number, 2, required=[2, 9])


async def decides(site: Site) -> None:
    who = site.machines[1].uuid
    await site.storage.decide(
        "admin",
        "machines.quarantine",
        lambda tx: (tx.set_client_state([who], ClientState.QUARANTINED), tx.note(who.hex())),
        now=NOON,
    )


async def hears(site: Site) -> None:
    site.clock.advance(minutes=1)
    calm = encode(HealthV1())
    seen = Presence(
        client=site.machines[2].number, counter=2, seen_at=NOON.timestamp() + 60, health=calm
    )
    await site.storage.flush_presence([seen])


async def is_silent(site: Site) -> None:
    site.clock.advance(days=15)
    await site.report(site.machines[0].number, 2, installed=[1])


MEANWHILE = [reports, publishes, decides, hears, is_silent]


@pytest.mark.parametrize("happens", MEANWHILE, ids=lambda happens: happens.__name__)
async def test_after_a_restart_only_what_happened_since_is_read(
    site: Site, happens: Callable[[Site], Any]
) -> None:
    site.leave()

    await happens(site)

    assert site.again() == site.anew()
    assert site.store.read_through == 0


class Inner(Struct):
    text: str


class Held(Struct, array_like=True):
    a: int
    b: Inner


def test_a_field_that_is_another_or_stands_elsewhere_makes_another_format() -> None:
    renamed = defstruct("Held", [("a", int), ("c", Inner)], array_like=True)
    turned_round = defstruct("Held", [("b", Inner), ("a", int)], array_like=True)
    deeper = defstruct("Held", [("a", int), ("b", defstruct("Inner", ["text"]))], array_like=True)
    same = defstruct("Held", [("a", int), ("b", Inner)], array_like=True)

    shapes = {shape_of(one) for one in (Held, renamed, turned_round, deeper)}

    assert len(shapes) == 4
    assert shape_of(same) == shape_of(Held)


async def test_what_somebody_wrote_a_moment_ago_is_not_written_again(site: Site) -> None:
    fleet = site.run()
    fleet.ask(lambda view: view.version)

    fleet.save(older_than_s=60)

    assert site.kept.data is None
    site.kept.age = 61
    fleet.save(older_than_s=60)
    assert site.kept.data is not None


def turned(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def with_cursor(data: bytes, **changes: Any) -> bytes:
    checkpoint = read(data)
    return b"".join(written(replace(checkpoint, reported=replace(checkpoint.reported, **changes))))


UNUSABLE: dict[str, Callable[[bytes], bytes]] = {
    "of another release": lambda data: data.replace(FORMAT, b"patchtide fleet 0\n"),
    "of which a bit was turned": turned,
    "cut short": lambda data: data[:-40],
    "empty": lambda data: b"",
    "of another database": lambda data: with_cursor(data, epoch="another"),
    "of what has not happened yet": lambda data: with_cursor(data, n=10**6),
    "of other numbers": lambda data: b"".join(written(replace(read(data), lineage=b"x" * 16))),
}


@pytest.mark.parametrize("spoilt", UNUSABLE.values(), ids=UNUSABLE)
async def test_a_checkpoint_that_cannot_be_used_is_told_of_and_all_is_read_anew(
    site: Site, spoilt: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    site.leave()
    assert site.kept.data is not None
    site.kept.data = spoilt(site.kept.data)

    with caplog.at_level(logging.WARNING):
        found = site.again()

    assert "what is written down of the fleet" in caplog.text
    assert found == site.anew()
    assert site.store.read_through > 0


async def test_who_is_further_behind_than_the_log_reaches_reads_all_anew(site: Site) -> None:
    site.leave()
    await reports(site)
    await site.storage.trim(now=(NOON + timedelta(days=2)).timestamp())

    assert site.again() == site.anew()
    assert site.store.read_through > 0


async def test_after_a_restore_nothing_of_what_was_written_down_counts(site: Site) -> None:
    site.leave()
    await mark_restored(site.storage, now=NOON)
    await site.report(site.machines[0].number, 2, installed=[1])

    assert site.again() == site.anew()
    assert site.store.read_through > 0


async def test_nothing_is_written_before_there_is_anything_or_while_nothing_changes(
    site: Site,
) -> None:
    fleet = site.run()
    fleet.save()
    assert site.kept.data is None

    fleet.ask(lambda view: view.version)
    fleet.save()
    epoch = site.storage.epoch()
    assert site.kept.data is not None
    assert read(site.kept.data).reported == Cursor(epoch=epoch.epoch, n=epoch.n)
    site.kept.data = None
    fleet.save()
    assert site.kept.data is None
