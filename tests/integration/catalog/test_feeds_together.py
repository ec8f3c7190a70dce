"""Several feeds of one site: what one tells does not wait for another that is away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from patchtide.adapters.feeds.errors import FeedDisputed, FeedUnreachable
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.errors import PatchtideError
from patchtide.entry.server.feeds_together import FeedsTogether, checked_feeds, feed_of
from patchtide.server.ports.feed import ALL, FeedContent, FeedHead, Wanted
from tests.integration.catalog.test_synchronisation import updates

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class AFeed:
    def __init__(self, shard: str, **versions: str) -> None:
        self.content = FeedContent(
            shards={shard: updates(**versions)}, as_of={shard: NOW}, stamp=shard.encode()
        )
        self.broken: PatchtideError | None = None
        self.asked: list[FeedUpdate] = []
        self.fetches = 0

    def fetch(self, wanted: Wanted = ALL) -> None:
        self.fetches += 1
        if self.broken:
            raise self.broken

    def head(self) -> FeedHead:
        return self.content

    def read(self, *, now: datetime) -> FeedContent:
        return self.content

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        self.asked += updates
        known = {u.details.update for some in self.content.shards.values() for u in some}
        return [_described(u) if u.details.update in known else u for u in updates]

    def stop(self) -> None: ...


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


def test_two_that_tell_of_one_system_are_refused(debian: AFeed) -> None:
    feeds = FeedsTogether({"apt": debian, "apt:/other": AFeed("debian-12", git="1")})
    feeds.fetch()

    with pytest.raises(FeedDisputed, match="debian-12"):
        feeds.read(now=NOW)


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
