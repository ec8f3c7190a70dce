"""The apt feed against a real repository: what it offers, and what it does not believe."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from patchtide.adapters.feeds.apt import AptFeed
from patchtide.adapters.feeds.apt_documents import ASK_AGAIN_S
from patchtide.adapters.feeds.errors import (
    FeedDamaged,
    FeedDisputed,
    FeedExpired,
    FeedNotSigned,
    FeedUnreachable,
    NoFeed,
)
from patchtide.adapters.platforms.commands import run
from patchtide.domain.catalog.details import FeedUpdate, Severity, UpdateDetails
from tests.simulator.apt_repository import AptRepository, SigningKey, apt_folder, needs_apt

pytestmark = needs_apt
SECURITY = "bookworm-security"


@pytest.fixture(scope="module")
def keys() -> Iterator[tuple[SigningKey, SigningKey]]:
    with SigningKey("vendor") as vendor, SigningKey("stranger") as stranger:
        yield vendor, stranger


@pytest.fixture
def archive(tmp_path: Path, keys: tuple[SigningKey, SigningKey]) -> AptRepository:
    """A release with two packages, one of which it has moved past its fix since."""
    made = AptRepository(folder=tmp_path / "archive", key=keys[0])
    made.add("bookworm", "libtoy1", "1.0-1", source="toy")
    made.add("bookworm", "old", "2.0-1")
    made.add(SECURITY, "libtoy1", "1.0-1+deb12u1", source="toy")
    made.add(SECURITY, "toy-bin", "2:5-1", source="toy (1.0-1+deb12u1)")
    made.add(SECURITY, "old", "1.9-1+deb12u1")
    made.publish("bookworm", version="12.15", lives=None)
    made.publish(SECURITY, label="Debian-Security")
    return made


class Reader:
    """A feed that reads the archive as this machine would."""

    def __init__(self, folder: Path, archive: AptRepository) -> None:
        self.keyring = archive.key.keyring(folder / "vendor.gpg")
        self._uri = archive.uri
        self._folder = folder
        self.more: list[str] = []
        """Lines beside those of the archive."""

    def feed(self, *, option: str = "", uri: str = "", suites: Sequence[str] = ()) -> AptFeed:
        options = f"[signed-by={self.keyring} {option}]"
        lines = [
            f"deb {options} {uri or self._uri} {suite} main"
            for suite in suites or ("bookworm", SECURITY)
        ]
        etc = apt_folder(self._folder / "etc", *lines, *self.more)
        return AptFeed(self._folder / "feed", run=run, etc=etc, keyrings=self._folder)

    def offers(self, **choices: str) -> tuple[FeedUpdate, ...]:
        feed = self.feed(option=choices.get("option", ""))
        feed.fetch()
        return feed.read(now=datetime.now(UTC)).shards["debian-12"]


@pytest.fixture
def reader(tmp_path: Path, archive: AptRepository) -> Reader:
    return Reader(tmp_path, archive)


def test_an_update_is_a_source_package_with_its_packages(reader: Reader) -> None:
    old, update = reader.offers()

    assert old.details.vendor_id == "debian/bookworm-security/old/1.9-1+deb12u1"
    assert update.details.vendor_id == "debian/bookworm-security/toy/1.0-1+deb12u1"
    assert [(f.name, f.version) for f in update.leaves[0].files] == [
        ("libtoy1", "1.0-1+deb12u1"),
        ("toy-bin", "2:5-1"),
    ]
    assert update.leaves[0].origin.text == "feed:debian-security"


def test_reading_again_says_the_same_and_a_new_fix_says_something_else(
    reader: Reader, archive: AptRepository
) -> None:
    first = reader.offers()
    again = reader.offers()
    archive.add(SECURITY, "libtoy1", "1.0-1+deb12u2", source="toy")
    archive.publish(SECURITY, label="Debian-Security")

    names = [update.details.title for update in reader.offers()]

    assert first == again
    assert names == ["old 1.9-1+deb12u1", "toy 1.0-1+deb12u1", "toy 1.0-1+deb12u2"]


def test_the_older_pair_of_files_counts_as_much(reader: Reader, archive: AptRepository) -> None:
    offered = reader.offers()
    archive.sign_apart(SECURITY)

    assert reader.offers() == offered


def test_a_changed_release_file_beside_its_signature_is_damaged(
    reader: Reader, archive: AptRepository
) -> None:
    path = archive.sign_apart(SECURITY)
    path.write_bytes(path.read_bytes().replace(b"Debian-Security", b"Debian-Insecure"))

    with pytest.raises(FeedDamaged):
        reader.offers()


@pytest.mark.parametrize("gone", ["*security*InRelease", "*security*Release.gpg"])
def test_a_suite_whose_signature_is_gone_is_not_passed_over(
    reader: Reader, archive: AptRepository, tmp_path: Path, gone: str
) -> None:
    if gone.endswith("gpg"):
        archive.sign_apart(SECURITY)
    reader.offers()
    for path in (tmp_path / "feed/lists").glob(gone):
        path.unlink()

    with pytest.raises(FeedNotSigned, match="security"):
        reader.feed().read(now=datetime.now(UTC))


def test_an_address_may_be_written_otherwise_than_apt_says_it(
    reader: Reader, archive: AptRepository
) -> None:
    feed = reader.feed(uri=f"file://{archive.folder}/")
    feed.fetch()

    content = feed.read(now=datetime.now(UTC))

    assert len(content.shards["debian-12"]) == 2 and content.is_whole


def test_a_local_folder_that_needs_no_signature_says_nothing(
    reader: Reader, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/Packages").write_bytes(b"")
    reader.more = [f"deb [trusted=yes] file:{tmp_path}/own ./"]

    assert len(reader.offers()) == 2


@pytest.fixture
def impostor(reader: Reader, tmp_path: Path, keys: tuple[SigningKey, SigningKey]) -> None:
    """A stranger's archive, rightly signed, that says to be the vendor's security suite."""
    made = AptRepository(folder=tmp_path / "impostor", key=keys[1])
    made.add(SECURITY, "libtoy1", "9:9", source="toy")
    made.publish(SECURITY, label="Debian-Security")
    keyring = keys[1].keyring(tmp_path / "stranger.gpg")
    reader.more = [f"deb [signed-by={keyring}] {made.uri} {SECURITY} main"]


@pytest.mark.usefixtures("impostor")
def test_nobody_else_speaks_for_the_vendor_whose_keyring_is_here(
    reader: Reader, archive: AptRepository, tmp_path: Path
) -> None:
    archive.key.keyring(tmp_path / "debian-archive-keyring.gpg")
    feed = reader.feed()
    feed.fetch()

    content = feed.read(now=datetime.now(UTC))

    titles = [update.details.title for update in content.shards["debian-12"]]
    assert titles == ["old 1.9-1+deb12u1", "toy 1.0-1+deb12u1"]
    assert "impostor" in content.note and content.is_whole


@pytest.mark.usefixtures("impostor")
def test_of_two_vendors_that_nobody_knows_neither_speaks(reader: Reader) -> None:
    with pytest.raises(FeedDisputed, match="debian"):
        reader.offers()


def test_a_suite_that_was_never_fetched_is_missing(reader: Reader, tmp_path: Path) -> None:
    reader.offers()
    feed = reader.feed(suites=["bookworm", SECURITY, "bookworm-updates"])

    content = feed.read(now=datetime.now(UTC))

    assert not content.is_whole and "archive bookworm-updates was not fetched" in content.note


def test_a_changed_release_file_is_damaged(reader: Reader, archive: AptRepository) -> None:
    path = archive.folder / "dists" / SECURITY / "InRelease"
    path.write_bytes(path.read_bytes().replace(b"Debian-Security", b"Debian-Insecure"))

    with pytest.raises(FeedDamaged):
        reader.offers()


def test_a_changed_index_is_damaged(reader: Reader, archive: AptRepository) -> None:
    path = archive.folder / "dists" / SECURITY / "main/binary-amd64/Packages"
    path.write_bytes(path.read_bytes().replace(b"1.0-1+deb12u1", b"9.0-1+deb12u1"))

    with pytest.raises(FeedDamaged):
        reader.offers()


def test_an_index_that_is_gone_is_no_empty_one(reader: Reader, tmp_path: Path) -> None:
    reader.offers()
    reader.more = [f"deb [trusted=yes] file:{tmp_path}/never x main"]
    (path,) = (tmp_path / "feed/lists").glob("*archive_dists_bookworm_*Packages")
    path.unlink()

    content = reader.feed().read(now=datetime.now(UTC))

    assert not content.is_whole
    assert "archive bookworm was not" in content.note and "never x was not" in content.note


def test_what_was_changed_after_apt_had_it_is_damaged(reader: Reader, tmp_path: Path) -> None:
    reader.offers()
    for path in (tmp_path / "feed/lists").glob("*security*Packages"):
        text = path.read_bytes()
        path.unlink()
        path.write_bytes(text.replace(b"1.0-1+deb12u1", b"9.0-1+deb12u1"))

    with pytest.raises(FeedDamaged, match="Packages"):
        reader.feed().read(now=datetime.now(UTC))


def test_a_strangers_signature_is_none(
    reader: Reader, archive: AptRepository, keys: tuple[SigningKey, SigningKey]
) -> None:
    archive.key = keys[1]
    archive.publish(SECURITY, label="Debian-Security")

    with pytest.raises(FeedNotSigned, match=keys[1].fingerprint[-16:]):
        reader.offers()


def test_a_release_file_past_its_time_is_expired(reader: Reader, archive: AptRepository) -> None:
    archive.publish(SECURITY, label="Debian-Security", lives=timedelta(minutes=-1))

    with pytest.raises(FeedExpired, match=SECURITY):
        reader.offers()


def test_a_source_that_may_be_old_is_read_past_its_time(
    reader: Reader, archive: AptRepository
) -> None:
    archive.publish(SECURITY, label="Debian-Security", lives=timedelta(minutes=-1))
    feed = reader.feed(option="check-valid-until=no")
    feed.fetch()

    content = feed.read(now=datetime.now(UTC))

    assert content.shards and SECURITY in content.note


def test_an_archive_that_is_away_is_unreachable(reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(FeedUnreachable, match=r"Failed to fetch|does not have a Release"):
        reader.feed(uri=f"file:{tmp_path}/nowhere").fetch()


def test_sources_without_a_security_or_updates_suite_are_no_feed(reader: Reader) -> None:
    feed = reader.feed(suites=["bookworm"])
    feed.fetch()

    with pytest.raises(NoFeed):
        feed.read(now=datetime.now(UTC))


def test_both_forms_of_sources_and_keys_are_read(
    archive: AptRepository, tmp_path: Path, keys: tuple[SigningKey, SigningKey]
) -> None:
    armour = "".join(f"\n {line or '.'}" for line in keys[0].armoured().splitlines())
    etc = apt_folder(
        tmp_path / "etc",
        f"deb {archive.uri} bookworm main",
        stanzas=f"Types: deb deb-src\nURIs: {archive.uri}/\nSuites: {SECURITY}\n"
        f"Components: main\nSigned-By:{armour}\n",
    )
    keys[0].keyring(etc / "trusted.gpg.d/vendor.asc")
    feed = AptFeed(tmp_path / "feed", run=run, etc=etc)
    feed.fetch()

    assert len(feed.read(now=datetime.now(UTC)).shards["debian-12"]) == 2


def test_what_apt_has_fetched_by_itself_is_read_where_it_lies(
    reader: Reader, tmp_path: Path
) -> None:
    offered = reader.offers()
    lists = tmp_path / "feed/lists"
    for path in lists.glob("*Packages"):
        path.with_suffix(".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    feed = AptFeed(tmp_path / "other", run=run, etc=tmp_path / "etc", lists=lists)

    assert feed.read(now=datetime.now(UTC)).shards["debian-12"] == offered
    with pytest.raises(FeedUnreachable):
        feed.fetch()


def a_changelog(version: str, *lines: str, urgency: str = "medium") -> str:
    text = "\n".join(f"  * {line}" for line in lines)
    return (
        f"toy ({version}) {SECURITY}; urgency={urgency}\n\n{text}\n\n"
        " -- Toys <toys@invalid>  Fri, 03 Apr 2026 14:29:32 +0200\n\n"
    )


CHANGELOG = (
    a_changelog("1.0-1+deb12u2", "CVE-2026-1002 and CVE-2026-1001", urgency="high")
    + a_changelog("1.0-1+deb12u1", "CVE-2026-0999")
    + a_changelog("1.0-1", "CVE-2020-0001")
)


@pytest.fixture
def with_changelog(archive: AptRepository) -> Path:
    """Return the one package that has it; those smaller than it have none."""
    archive.add(SECURITY, "toy-meta", "1.0-1+deb12u2", source="toy")
    made = archive.add(SECURITY, "libtoy1", "1.0-1+deb12u2", source="toy", changelog=CHANGELOG)
    archive.publish(SECURITY, label="Debian-Security")
    return made


def described(reader: Reader) -> UpdateDetails:
    feed = reader.feed()
    feed.fetch()
    offered = feed.read(now=datetime.now(UTC)).shards["debian-12"]
    newest = [u for u in offered if u.details.title == "toy 1.0-1+deb12u2"]
    return feed.describe(newest)[0].details


@pytest.mark.usefixtures("with_changelog")
def test_cves_come_from_the_changelog_back_to_the_release(reader: Reader) -> None:
    details = described(reader)

    assert details.cves == ("CVE-2026-0999", "CVE-2026-1001", "CVE-2026-1002")
    assert details.severity is Severity.IMPORTANT
    assert details.released == datetime(2026, 4, 3, 12, 29, 32, tzinfo=UTC)


def test_a_changed_package_tells_nothing(reader: Reader, with_changelog: Path) -> None:
    with_changelog.write_bytes(with_changelog.read_bytes()[:-1] + b"x")

    assert described(reader).cves is None


@pytest.mark.usefixtures("with_changelog")
def test_a_changelog_is_fetched_once(reader: Reader, archive: AptRepository) -> None:
    first = described(reader)
    for package in (archive.folder / "pool" / SECURITY).iterdir():
        package.unlink()

    assert described(reader) == first


@pytest.mark.usefixtures("with_changelog")
def test_where_no_changelog_was_it_is_asked_for_again_some_days_later(
    reader: Reader, tmp_path: Path
) -> None:
    first = described(reader)
    (kept,) = (tmp_path / "feed/changelogs").iterdir()
    kept.write_text("")  # as after a power cut, too
    soon = described(reader)
    week_ago = kept.stat().st_mtime - ASK_AGAIN_S
    os.utime(kept, (week_ago, week_ago))

    assert (soon.cves, described(reader)) == (None, first)


@pytest.mark.usefixtures("with_changelog")
def test_a_changelog_is_on_the_disk_before_it_has_its_name(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def synced_before(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().read_text())
        assert not [p for p in (tmp_path / "feed/changelogs").iterdir() if p.name[0] != "."]

    monkeypatch.setattr(os, "fsync", synced_before)
    described(reader)

    assert synced == [CHANGELOG]
