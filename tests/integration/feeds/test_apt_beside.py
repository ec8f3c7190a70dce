"""Archives of others: they bring what only they have, and nothing of the distribution's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from patchtide.adapters.feeds.apt import AptFeed
from patchtide.adapters.platforms.commands import run
from patchtide.domain.catalog.details import Classification, FeedUpdate
from patchtide.domain.catalog.rules import And, OperatingSystem
from patchtide.domain.catalog.selection import ANY_FEED, Choice, Selection
from tests.simulator.apt_repository import AptRepository, SigningKey, apt_folder, needs_apt

pytestmark = needs_apt
SECURITY = "bookworm-security"


@pytest.fixture(scope="module")
def keys() -> Iterator[tuple[SigningKey, SigningKey]]:
    with SigningKey("vendor") as vendor, SigningKey("other") as other:
        yield vendor, other


class Site:
    """A distribution with a package and a fix, and beside it an archive of somebody else."""

    def __init__(self, folder: Path, keys: tuple[SigningKey, SigningKey]) -> None:
        self.folder = folder
        self.own = AptRepository(folder=folder / "own", key=keys[0])
        self.own.add("bookworm", "bash", "5.2-1")
        self.own.publish("bookworm", version="12.15", lives=None)
        self.own.add(SECURITY, "toy", "1.0-1")
        self.own.publish(SECURITY, label="Debian-Security")
        self.other = AptRepository(folder=folder / "other", key=keys[1], origin="Acme")
        self.lines: list[str] = []

    def adds(self, suite: str, *, asked: str = "no") -> None:
        for name, version in (("acme", "2.0"), ("bash", "99"), ("toy", "99")):
            self.other.add(suite, name, version)
        self.other.publish(suite, label="Acme", version="", NotAutomatic=asked)
        keyring = self.other.key.keyring(self.folder / "other.gpg")
        self.lines.append(f"deb [signed-by={keyring}] {self.other.uri} {suite} main")

    def told(
        self, *suites: str, selection: Selection | None = None
    ) -> dict[str, tuple[FeedUpdate, ...]]:
        keyring = self.own.key.keyring(self.folder / "own.gpg")
        named = suites or ("bookworm", SECURITY)
        lines = (f"deb [signed-by={keyring}] {self.own.uri} {suite} main" for suite in named)
        etc = apt_folder(self.folder / "etc", *lines, *self.lines)
        feed = AptFeed(self.folder / "feed", run=run, etc=etc, keyrings=self.folder)
        feed.fetch(selection)
        return dict(feed.read(now=datetime.now(UTC)).shards)


@pytest.fixture
def site(tmp_path: Path, keys: tuple[SigningKey, SigningKey]) -> Site:
    return Site(tmp_path, keys)


@pytest.mark.parametrize("suite", ["stable", "bookworm-acme"])
def test_another_archive_brings_what_only_it_has(site: Site, suite: str) -> None:
    site.adds(suite)

    shards = site.told()

    [update] = [u for u in shards["debian-12"] if u.details.vendor == "Acme"]
    assert set(shards) == {"debian-12"} and len(shards["debian-12"]) == 2
    assert [(f.name, f.version) for f in update.details.packages] == [("acme", "2.0")]
    assert update.details.classification is Classification.GENERAL
    assert (update.details.feed, update.details.product) == ("acme-updates", "Acme 12")
    assert isinstance(update.leaves[0].prerequisite, And)
    assert OperatingSystem("debian", ("12",)) in update.leaves[0].prerequisite.members


def test_what_is_installed_only_when_somebody_asks_for_it_is_not_told(site: Site) -> None:
    site.adds("stable", asked="yes")

    assert len(site.told()["debian-12"]) == 1


def test_without_the_release_nobody_knows_what_is_the_distributions_own(site: Site) -> None:
    site.adds("stable")

    assert len(site.told(SECURITY)["debian-12"]) == 1


def test_it_can_be_chosen_beside_the_distributions(site: Site) -> None:
    site.adds("stable")
    choice = Choice(products=frozenset({"Debian 12", "Acme 12"}))

    assert len(site.told(selection={ANY_FEED: choice})["debian-12"]) == 2
