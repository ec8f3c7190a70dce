"""Fewer choices, less to fetch: what a site has not chosen stays where it is (CAT-4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from patchtide.adapters.feeds.apt_narrowing import narrowed_text
from patchtide.domain.catalog.details import Classification
from patchtide.domain.catalog.selection import ANY_FEED, Choice, Selection, chosen
from patchtide.entry.server.feed_process import FeedProcess
from patchtide.server.ports.feed import FeedContent, Wanted
from tests.simulator.apt_repository import AptRepository, SigningKey, apt_folder, needs_apt
from tests.simulator.rpm_repository import RpmSystem
from tests.simulator.scripted_web import ScriptedWeb

PRODUCT = Choice(products=frozenset({"Debian 12"}))
TWELVE: Selection = {ANY_FEED: PRODUCT}
FEATURES: Selection = {ANY_FEED: Choice(classifications=frozenset({Classification.FEATURE_PACK}))}


@pytest.fixture(scope="module")
def key() -> Iterator[SigningKey]:
    with SigningKey("vendor") as made:
        yield made


class Archive:
    """Two releases of Debian behind a web server that counts."""

    def __init__(self, folder: Path, key: SigningKey) -> None:
        self.folder = folder
        self.made = AptRepository(folder=folder / "archive", key=key)
        for codename, version in (("bullseye", "11"), ("bookworm", "12")):
            self.made.add(codename, "toy", "1.0-1")
            self.made.publish(codename, version=f"{version}.9", lives=None)
            for suite, label in (("security", "Debian-Security"), ("updates", "Debian")):
                self.made.add(f"{codename}-{suite}", f"toy-{suite}", f"1.0-1+deb{version}u1")
                self.made.publish(f"{codename}-{suite}", label=label, version=version)
        self.keyring = key.keyring(folder / "vendor.gpg")

    def fetched(self, web: ScriptedWeb, selection: Selection, name: str) -> FeedContent:
        """Fetch into an empty folder; what was asked is left in `web.asked`."""
        root = self.folder / f"root-{name}"
        stanza = (
            f"Types: deb\nURIs: {web.address}\nSuites: bullseye bullseye-security\n"
            f" bullseye-updates bookworm bookworm-updates\nComponents: main\n"
            f"Signed-By: {self.keyring}\n"
        )
        line = f"deb [signed-by={self.keyring}] {web.address} bookworm-security main"
        apt_folder(root / "etc/apt", line, stanzas=stanza)
        process = FeedProcess(self.folder / f"spool-{name}", root=root, heard=lambda *_: None)
        web.asked.clear()
        process.fetch(Wanted(selection=selection))
        return process.read(now=datetime.now(UTC))

    def bytes_of(self, web: ScriptedWeb) -> int:
        """Of lists: a Release file of a real archive is nothing beside them."""
        asked = (path for path, _ in web.asked if path.endswith("/Packages"))
        files = (self.made.folder / path.lstrip("/") for path in asked)
        return sum(file.stat().st_size for file in files if file.is_file())


@pytest.fixture
def archive(tmp_path: Path, key: SigningKey) -> Archive:
    return Archive(tmp_path, key)


def lists_asked(web: ScriptedWeb) -> set[str]:
    return {path.split("/")[2] for path, _ in web.asked if path.endswith("/Packages")}


def taken(content: FeedContent, selection: Selection) -> Mapping[str, list[str]]:
    return {
        shard: sorted(update.details.title for update in chosen(updates, selection))
        for shard, updates in content.shards.items()
    }


@needs_apt
def test_what_is_not_chosen_is_not_fetched_and_the_catalog_is_the_same(archive: Archive) -> None:
    with ScriptedWeb(archive.made.folder) as web:
        everything = archive.fetched(web, {}, "all")
        all_lists, all_bytes, asked = lists_asked(web), archive.bytes_of(web), len(web.asked)
        some = archive.fetched(web, TWELVE, "some")
        lists, some_bytes, fewer = lists_asked(web), archive.bytes_of(web), len(web.asked)
        nothing = archive.fetched(web, FEATURES, "none")
        none_lists = lists_asked(web)

    assert all_lists >= {"bullseye", "bullseye-security", "bookworm-security"}
    assert lists == {"bookworm", "bookworm-updates", "bookworm-security"}
    assert some_bytes <= all_bytes * 0.6 and fewer <= asked
    assert taken(some, TWELVE) == taken(everything, TWELVE)
    assert taken(some, {}) == {"debian-11": [], **taken(some, TWELVE)}
    assert none_lists == set() and set(nothing.shards) == {"debian-11", "debian-12"}
    assert some.is_whole and some.note == "nothing for Debian 11 is chosen"


@needs_apt
def test_what_is_chosen_again_is_fetched_again_and_a_choice_of_a_feeds_own_counts(
    archive: Archive,
) -> None:
    own: Selection = {"debian-security": PRODUCT}
    with ScriptedWeb(archive.made.folder) as web:
        archive.fetched(web, TWELVE, "one")
        again = archive.fetched(web, {}, "one")
        archive.fetched(web, own, "own")
        lists = lists_asked(web)

    assert again.note == "" and len(again.shards["debian-11"]) == 2
    assert "bullseye-security" not in lists and {"bullseye", "bullseye-updates"} <= lists


@needs_apt
def test_a_suite_that_cannot_be_looked_at_is_left_to_apt(archive: Archive, key: SigningKey) -> None:
    release = archive.made.folder / "dists/bullseye-security/InRelease"
    release.write_bytes(release.read_bytes().replace(b"Debian-Security", b"Debian-Strangers"))

    with ScriptedWeb(archive.made.folder) as web, pytest.raises(Exception, match="bullseye"):
        archive.fetched(web, TWELVE, "x")


def test_repositories_of_a_system_that_is_not_chosen_are_not_asked(tmp_path: Path) -> None:
    system = RpmSystem(root=tmp_path / "root")
    with ScriptedWeb() as web:
        # By name it is somebody else's and needs https; nobody gets as far as that.
        system.source("base", "https://nowhere.invalid/repo")
        process = FeedProcess(
            tmp_path / "spool", kind="rpm", root=system.root, heard=lambda *_: None
        )
        process.fetch(Wanted(selection=TWELVE))
        content = process.read(now=datetime.now(UTC))

    assert web.asked == [] and dict(content.shards) == {"toylinux-9": ()}
    assert content.note == "nothing for Toy Linux 9 is chosen"


def test_sources_keep_their_options_and_lose_only_suites() -> None:
    text = (
        "# ours\nTypes: deb deb-src\nURIs: http://a http://b\nSuites: one two\n three\n"
        "Components: main\nSigned-By:\n -----BEGIN X\n .\n abc\n\n\nTypes: deb\nURIs: http://c\n"
        "Suites: one\nComponents: main\n"
    )
    wanted = {("http://a", "one"), ("http://b", "three")}

    assert narrowed_text("x.sources", text, wanted) == (
        "# ours\nTypes: deb deb-src\nURIs: http://a http://b\nSuites: one three\n"
        "Components: main\nSigned-By:\n -----BEGIN X\n .\n abc\n"
    )
    lines = "deb [arch=arm64] http://a one main # c\ndeb http://a two main\n# deb http://a one x\n"
    assert narrowed_text("x.list", lines, wanted) == "deb [arch=arm64] http://a one main # c\n"


def test_a_choice_of_severities_leaves_everything_to_be_looked_at() -> None:
    choice = replace(PRODUCT, severities=frozenset())

    assert choice.may_take("Debian 12", {Classification.SECURITY})
    assert not choice.may_take("Debian 11", {Classification.SECURITY})
