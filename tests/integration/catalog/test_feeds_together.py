"""Several feeds of one site: what one tells does not wait for another that is away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from patchtide.adapters.feeds.errors import FeedUnreachable
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.errors import PatchtideError
from patchtide.entry.server.feeds_together import FeedsTogether, checked_feeds, feed_of
from patchtide.server.catalog_import import distrust, trust
from patchtide.server.feed_dates import FeedAhead, FeedWentBack
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.feed import ALL, FeedContent, FeedHead, Tried, Wanted
from patchtide.server.synchronisation import Synchronisation
from patchtide.server.synchronisation_desk import _done
from patchtide.server.synchronisation_runs import Run
from tests.integration.catalog.node import Node, node
from tests.integration.catalog.test_synchronisation import updates

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


A_RUN = Run(number=1, node="here", by="system", full=True, started_at=0.0)


class AFeed:
    def __init__(self, shard: str, **versions: str) -> None:
        self.content = FeedContent(
            shards={shard: updates(**versions)}, as_of={shard: NOW}, stamp=shard.encode()
        )
        self.broken: PatchtideError | None = None
        self.asked: list[FeedUpdate] = []
        self.fetches = 0
        self.shard = self.suite = shard
        self.newer: FeedContent | None = None

    def tell(self, at: datetime, **versions: str) -> None:
        self.content = replace(
            self.content,
            shards={self.shard: updates(**versions)},
            as_of={self.suite: at},
            stamp=f"{at}".encode(),
        )

    def fetch(self, wanted: Wanted = ALL) -> None:
        self.fetches += 1
        if self.broken:
            raise self.broken
        self.content = self.newer or self.content

    def head(self) -> FeedHead:
        return self.content

    def read(self, *, now: datetime) -> FeedContent:
        return self.content

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        self.asked += updates
        known = {u.details.update for some in self.content.shards.values() for u in some}
        return [_described(u) if u.details.update in known else u for u in updates]

    def stop(self) -> None: ...

    def try_all(self) -> Sequence[Tried]:
        return []


@pytest.fixture
async def here(database_url: str, tmp_path: Path) -> AsyncIterator[Node]:
    async with node(database_url, tmp_path / "here") as made:
        yield made


def together(here: Node, *feeds: AFeed) -> Synchronisation:
    return Synchronisation(
        feed=FeedsTogether(dict(zip(("apt", "rpm"), feeds, strict=False))),
        reading=here.storage,
        decisions=here.storage,
        publisher=here.catalog,
        details=here.details,
        clock=here.clock,
    )


def _described(update: FeedUpdate) -> FeedUpdate:
    return replace(update, details=replace(update.details, cves=("CVE-2026-1",)))


@pytest.fixture
def debian() -> AFeed:
    return AFeed("debian-12", curl="1")


@pytest.fixture
def el9() -> AFeed:
    return AFeed("rhel-9", bash="2")


def test_two_feeds_tell_of_two_systems(debian: AFeed, el9: AFeed) -> None:
    feeds = FeedsTogether({"apt": debian, "rpm:/el9": el9})
    feeds.fetch()
    content, head = feeds.read(now=NOW), feeds.head()

    assert set(content.shards) == set(content.as_of) == {"debian-12", "rhel-9"}
    assert content.is_whole and content.stamp == head.stamp and content.note == ""


def test_one_that_is_away_is_named_and_the_other_goes_on(debian: AFeed, el9: AFeed) -> None:
    feeds = FeedsTogether({"apt": debian, "rpm:/el9": el9})
    feeds.fetch()
    whole = feeds.head()
    el9.broken = FeedUnreachable("no way there")
    feeds.fetch()
    content = feeds.read(now=NOW)
    el9.broken = None
    feeds.fetch()

    assert set(content.shards) == {"debian-12"} and not content.is_whole
    assert content.note == "rpm:/el9 (feed-unreachable): no way there"
    assert content.stamp != whole.stamp and feeds.head() == whole


def test_one_that_failed_is_fetched_alone_and_the_others_are_as_they_were(
    debian: AFeed, el9: AFeed
) -> None:
    feeds = FeedsTogether({"apt": debian, "rpm:/el9": el9})
    el9.broken = FeedUnreachable("no way there")
    feeds.fetch()
    failed = feeds.head().failed
    with pytest.raises(FeedUnreachable):
        feeds.fetch(Wanted(feeds=frozenset(failed)))
    el9.broken = None
    feeds.fetch(Wanted(feeds=frozenset(failed)))

    content = feeds.read(now=NOW)
    assert failed == ("rpm:/el9",) and (debian.fetches, el9.fetches) == (1, 3)
    assert content.is_whole and content.failed == () and len(content.shards) == 2


def test_when_all_are_away_the_first_says_why(debian: AFeed, el9: AFeed) -> None:
    debian.broken, el9.broken = FeedUnreachable("first"), FeedUnreachable("second")

    with pytest.raises(FeedUnreachable, match="first"):
        FeedsTogether({"apt": debian, "rpm:/el9": el9}).fetch()


def test_of_two_that_tell_of_one_system_the_first_counts_also_while_it_is_away(
    debian: AFeed,
) -> None:
    feeds = FeedsTogether({"apt": debian, "imported": AFeed("debian-12", git="1")})
    feeds.fetch()
    content = feeds.read(now=NOW)
    debian.broken = FeedUnreachable("no way there")
    feeds.fetch()
    without = feeds.read(now=NOW)

    assert content.shards == debian.content.shards and content.failed == ("imported",)
    assert content.note == "imported (feed-disputed): apt tells of debian-12 already"
    assert without.shards == {} and without.failed == ("apt", "imported")


async def test_a_mirror_that_lags_keeps_no_other_feed_back(
    here: Node, debian: AFeed, el9: AFeed
) -> None:
    synchronisation = together(here, debian, el9)
    await synchronisation.run("system")
    el9.tell(NOW - timedelta(hours=1), bash="1")
    debian.tell(NOW + timedelta(hours=1), curl="2")
    made = await synchronisation.run("system")

    assert made.head.failed == ("rpm",) and "feed-went-back" in made.head.note
    assert here.catalog.serials() == {"debian-12": 2, "rhel-9": 1}


async def test_a_feed_from_the_future_is_not_believed(here: Node, debian: AFeed) -> None:
    synchronisation = together(here, debian)
    debian.tell(datetime(9000, 1, 1, tzinfo=UTC), curl="2")
    with pytest.raises(FeedAhead, match="9000"):
        await synchronisation.run("system")
    debian.tell(NOW, curl="2")

    assert (await synchronisation.run("system")).changed


async def test_a_site_that_is_pinned_anew_may_begin_with_an_older_catalog(
    here: Node, debian: AFeed
) -> None:
    def pinned(root: bytes) -> Callable[[Transaction], None]:
        return partial(trust, name="hq", root=root, by="maria", now=NOW)

    debian.suite = "catalog of hq"
    synchronisation = together(here, debian)
    debian.tell(NOW, curl="1")
    await here.storage.decide("maria", "x", pinned(bytes(32)), now=NOW)
    await synchronisation.run("system")
    debian.tell(NOW - timedelta(hours=1), curl="2")
    with pytest.raises(FeedWentBack):
        await synchronisation.run("system")
    await here.storage.decide("maria", "x", lambda tx: distrust(tx, "hq"), now=NOW)
    await here.storage.decide("maria", "x", pinned(bytes([1]) * 32), now=NOW)

    assert (await synchronisation.run("system")).changed


async def test_what_no_feed_tells_of_any_more_is_named_with_every_run(
    here: Node, debian: AFeed, el9: AFeed
) -> None:
    before = await together(here, debian, el9).run("system")
    alone = together(here, debian)
    runs = [await alone.run("system") for _ in range(2)]

    assert before.untold == ()
    assert [run.untold for run in runs] == [("rhel-9",)] * 2
    assert "rhel-9: kept as it was" in _done(A_RUN, runs[0]).note


async def test_what_no_feed_tells_of_any_more_can_be_taken_out_of_force(
    here: Node, debian: AFeed, el9: AFeed
) -> None:
    await together(here, debian, el9).run("system")
    alone = together(here, debian)
    await alone.run("system")
    await alone.withdraw("maria", "rhel-9")
    after = await alone.run("system")

    expired = {x.title: bool(x.expired_at) for x in here.storage.update_details()}
    assert after.untold == () and expired == {"curl 1": False, "bash 2": True}
    assert here.fetched("rhel-9", {}, serial=0) == []
    assert here.fetched("debian-12", {}, serial=0) == ["curl 1"]


async def test_a_retry_on_another_node_fetches_what_that_one_has_not_seen(
    here: Node, debian: AFeed, el9: AFeed
) -> None:
    there = AFeed("debian-12", curl="1"), AFeed("rhel-9", bash="3")
    other = together(here, *there)
    await other.run("system")
    el9.broken = FeedUnreachable("away")
    debian.tell(NOW + timedelta(hours=1), curl="2")
    first = await together(here, debian, el9).run("system")
    there[0].newer = debian.content
    retried = await other.run("system", feeds=first.head.failed)

    assert first.head.failed == ("rpm",) and retried.head.failed == ()
    assert [feed.fetches for feed in there] == [2, 2] and retried.head.is_whole


def test_each_describes_what_it_knows(debian: AFeed, el9: AFeed) -> None:
    feeds = FeedsTogether({"apt": debian, "rpm:/el9": el9})
    told = [*debian.content.shards["debian-12"], *el9.content.shards["rhel-9"]]

    described = feeds.describe(told)

    assert [u.details.cves for u in described] == [("CVE-2026-1",)] * 2
    assert len(debian.asked) == 2 and len(el9.asked) == 1


def test_the_setting_names_one_several_or_none(tmp_path: Path) -> None:
    def made(text: str) -> str:
        feed = feed_of(checked_feeds(text), tmp_path, heard=lambda *_: None)
        return type(feed).__name__

    assert (made(""), made("apt"), made("apt,apt")) == ("NoneType", "FeedProcess", "FeedProcess")
    assert made(f"apt, rpm:{tmp_path}") == "FeedsTogether"
    for wrong in ("dnf", "apt,dnf", f"rpm:{tmp_path}/gone"):
        with pytest.raises(ValueError, match="commas between"):
            checked_feeds(wrong)
