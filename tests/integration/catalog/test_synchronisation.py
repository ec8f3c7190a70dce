"""A feed's updates become a shard, on real databases, and stay what they are."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from patchtide.adapters.feeds.apt_packages import IndexedPackage
from patchtide.adapters.feeds.apt_release import Release, SuiteKind
from patchtide.adapters.feeds.apt_updates import Index, Platform, updates_of
from patchtide.adapters.feeds.errors import FeedExpired
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.errors import PatchtideError, StaleRevision, WrongState
from patchtide.server.feed_dates import FeedWentBack
from patchtide.server.ports.feed import ALL, FeedContent, FeedHead, Wanted
from patchtide.server.synchronisation import Synchronisation
from tests.integration.catalog.node import Node, node
from tests.simulator.clock import FakeClock

pytestmark = pytest.mark.anyio
SHARD = "debian-12"


def updates(**versions: str) -> tuple[FeedUpdate, ...]:
    """Return security updates, one a source package, as the apt feed makes them."""
    release = Release(
        origin="Debian", label="Debian-Security", codename="bookworm", suite="x", version="12",
        kind=SuiteKind.SECURITY, date=datetime(2026, 3, 1, tzinfo=UTC), valid_until=None,
        indices={},
    )  # fmt: skip
    packages = [
        IndexedPackage(
            name=name, version=version, architecture="amd64", source=name, source_version=version,
            summary="", path="x.deb", sha256=bytes(32), size_bytes=1,
        )
        for name, version in versions.items()
    ]  # fmt: skip
    index = Index(release=release, architecture="amd64", packages=packages)
    return tuple(updates_of([index], Platform(os_id="debian", version="12")))


@dataclass
class FakeFeed:
    updates: tuple[FeedUpdate, ...] = ()
    broken: PatchtideError | None = None
    go_on: threading.Event = field(default_factory=threading.Event)
    held: bool = False
    signed_at: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    is_whole: bool = True
    stamp: bytes = b""
    failed: tuple[str, ...] = ()
    note: str = ""
    reads: int = 0
    wanted: list[Wanted] = field(default_factory=list)

    def fetch(self, wanted: Wanted = ALL) -> None:
        self.wanted.append(wanted)
        if self.held:
            assert self.go_on.wait(10)

    def read(self, *, now: datetime) -> FeedContent:
        self.reads += 1
        head = self.head()
        return FeedContent(
            shards={SHARD: self.updates},
            as_of=head.as_of,
            stamp=head.stamp,
            is_whole=head.is_whole,
            failed=head.failed,
            note=head.note,
        )

    def head(self) -> FeedHead:
        if self.broken:
            raise self.broken
        as_of = {"security": self.signed_at}
        whole = self.is_whole and not self.failed
        return FeedHead(
            as_of=as_of, stamp=self.stamp, is_whole=whole, failed=self.failed, note=self.note
        )

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        return updates


@pytest.fixture
async def here(database_url: str, tmp_path: Path) -> AsyncIterator[Node]:
    async with node(database_url, tmp_path / "here") as made:
        yield made


@pytest.fixture
def feed() -> FakeFeed:
    return FakeFeed(updates(openssl="2", curl="3"))


def a_synchronisation(here: Node, feed: FakeFeed) -> Synchronisation:
    return Synchronisation(
        feed=feed,
        reading=here.storage,
        decisions=here.storage,
        publisher=here.catalog,
        details=here.details,
        clock=here.clock,
    )


@pytest.fixture
def synchronisation(here: Node, feed: FakeFeed) -> Synchronisation:
    return a_synchronisation(here, feed)


def numbers(here: Node) -> dict[str, tuple[int, int]]:
    """Return number and revision of every update, by its title."""
    stored = here.storage.leaves(SHARD, at=here.catalog.serials()[SHARD])
    titles = {u.details.update.bytes: u.details.title for u in ALL}
    return {titles[leaf.update]: (leaf.number, leaf.revision) for leaf in stored}


ALL = updates(openssl="2", curl="3") + updates(openssl="4", nginx="1")


async def test_the_same_feed_twice_publishes_once(
    here: Node, synchronisation: Synchronisation
) -> None:
    first = await synchronisation.run("admin")
    again = await synchronisation.run("admin")

    assert set(first.changed) == {SHARD} and again.changed == {}
    assert here.catalog.serials() == {SHARD: 1}
    assert here.fetched(SHARD, {}, serial=0) == ["curl 3", "openssl 2"]


async def test_what_stays_keeps_its_number_and_what_is_gone_goes(
    here: Node, feed: FakeFeed, synchronisation: Synchronisation
) -> None:
    await synchronisation.run("admin")
    before = numbers(here)
    feed.updates = updates(openssl="4", curl="3")
    await synchronisation.run("admin")

    after = numbers(here)
    assert set(after) == {"curl 3", "openssl 4"} and after["curl 3"] == before["curl 3"]
    assert after["openssl 4"][0] not in {number for number, _ in before.values()}


async def test_a_leaf_told_otherwise_is_a_new_revision_of_the_same_number(
    here: Node, feed: FakeFeed, synchronisation: Synchronisation
) -> None:
    await synchronisation.run("admin")
    (number, _), curl = numbers(here)["curl 3"], numbers(here)["openssl 2"]
    told = [u if "openssl" in u.details.title else _exclusive(u) for u in feed.updates]
    feed.updates = tuple(told)
    await synchronisation.run("admin")

    assert numbers(here) == {"curl 3": (number, 2), "openssl 2": curl}


def _exclusive(update: FeedUpdate) -> FeedUpdate:
    leaves = tuple(replace(leaf, exclusive=True) for leaf in update.leaves)
    return replace(update, leaves=leaves)


async def test_on_demand_only_what_is_new_comes(
    here: Node, feed: FakeFeed, synchronisation: Synchronisation
) -> None:
    await synchronisation.run("admin")
    feed.updates = updates(nginx="1")
    await synchronisation.run("admin", full=False)

    assert set(numbers(here)) == {"curl 3", "openssl 2", "nginx 1"}


async def test_a_feed_that_is_refused_changes_nothing(
    here: Node, feed: FakeFeed, synchronisation: Synchronisation
) -> None:
    await synchronisation.run("admin")
    feed.broken = FeedExpired()

    with pytest.raises(FeedExpired):
        await synchronisation.run("admin")
    assert here.catalog.serials() == {SHARD: 1}


async def test_what_could_not_be_signed_is_published_later_and_once(
    here: Node, synchronisation: Synchronisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(data: bytes) -> str:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(here.content, "put", disk_full)
        await synchronisation.run("admin")
    again = await synchronisation.run("admin")
    await here.catalog.catch_up()

    assert again.changed == {}
    assert here.fetched(SHARD, {}, serial=0) == ["curl 3", "openssl 2"]


async def test_of_two_nodes_at_once_one_publishes(
    here: Node, feed: FakeFeed, synchronisation: Synchronisation, database_url: str, tmp_path: Path
) -> None:
    async with node(database_url, tmp_path / "here") as other:
        theirs = Synchronisation(
            feed=feed,
            reading=other.storage,
            decisions=other.storage,
            publisher=other.catalog,
            details=other.details,
            clock=FakeClock(),
        )

        def meanwhile(operation: str, number: int) -> object:
            here.decisions.before = None
            return theirs.run("admin")

        here.decisions.before = meanwhile
        with pytest.raises(StaleRevision):
            await synchronisation.run("admin")

        assert (await synchronisation.run("admin")).changed == {}
        assert other.fetched(SHARD, {}, serial=0) == ["curl 3", "openssl 2"]


async def test_a_feed_that_went_back_is_refused_and_makes_nothing_leave(
    here: Node, feed: FakeFeed, synchronisation: Synchronisation
) -> None:
    await synchronisation.run("admin")
    feed.updates, feed.signed_at = updates(openssl="1"), feed.signed_at - timedelta(seconds=1)

    with pytest.raises(FeedWentBack, match="security"):
        await synchronisation.run("admin")
    assert set(numbers(here)) == {"curl 3", "openssl 2"}


async def test_nothing_leaves_while_a_part_of_the_feed_is_missing(
    here: Node, feed: FakeFeed, synchronisation: Synchronisation
) -> None:
    await synchronisation.run("admin")
    feed.updates, feed.is_whole = updates(nginx="1"), False
    await synchronisation.run("admin")

    assert set(numbers(here)) == {"curl 3", "openssl 2", "nginx 1"}


async def test_a_second_synchronisation_does_not_start_beside_a_running_one(
    feed: FakeFeed, synchronisation: Synchronisation
) -> None:
    feed.held = True
    first = asyncio.create_task(synchronisation.run("admin"))
    await asyncio.sleep(0)

    with pytest.raises(WrongState):
        await synchronisation.run("admin")
    feed.go_on.set()
    assert (await first).changed
