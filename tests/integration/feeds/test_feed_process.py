"""The feed as a process: what it hands over, what it says meanwhile, and how it fails."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from patchtide.adapters.feeds.errors import FeedDamaged, FeedTooBig, FeedUnreachable
from patchtide.domain.catalog.details import FeedUpdate, Severity
from patchtide.domain.errors import InvalidDocument, Unavailable
from patchtide.entry.server.feed_process import FeedProcess
from patchtide.wire.spool import unpack_spool
from tests.simulator.apt_repository import AptRepository, SigningKey, needs_apt
from tests.simulator.debian_sources import DebianSources
from tests.simulator.rpm_repository import Rpm, RpmRepository, RpmSystem, Told, needs_rpm

pytestmark = needs_apt
SECURITY = "bookworm-security"
ADVISORIES = Path(__file__).parents[2] / "data/advisories"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def key() -> Iterator[SigningKey]:
    with SigningKey("vendor") as made:
        yield made


@pytest.fixture
def archive(tmp_path: Path, key: SigningKey) -> AptRepository:
    made = AptRepository(folder=tmp_path / "archive", key=key)
    made.add("bookworm", "toy", "1.0-1")
    changelog = "toy (1.0-1+deb12u1) bookworm-security; urgency=high\n\n  * CVE-2026-12345\n\n"
    changelog += " -- T <t@t>  Mon, 02 Mar 2026 12:00:00 +0000\n"
    made.add(SECURITY, "toy", "1.0-1+deb12u1", changelog=changelog)
    made.publish("bookworm", version="12.15", lives=None)
    made.publish(SECURITY, label="Debian-Security")
    return made


class Reader:
    def __init__(self, folder: Path, archive: AptRepository) -> None:
        self.sources = DebianSources(folder / "root", archive)
        self.heard: list[tuple[str, int, int]] = []
        self.spool = folder / "spool"
        self.process = FeedProcess(self.spool, root=self.sources.root, heard=self._hear)

    def _hear(self, step: str, done: int, of: int) -> None:
        self.heard.append((step, done, of))

    def titles(self) -> list[str]:
        self.process.fetch()
        found = self.process.read(now=NOW).shards["debian-12"]
        return [update.details.title for update in found]


@pytest.fixture
def reader(tmp_path: Path, archive: AptRepository) -> Reader:
    return Reader(tmp_path, archive)


def test_the_server_gets_what_the_vendor_signed(reader: Reader) -> None:
    assert reader.titles() == ["toy 1.0-1+deb12u1"]
    assert [step for step, _, _ in reader.heard] == ["fetching", "verifying"]


def test_what_is_wanted_is_described_with_its_cves(reader: Reader) -> None:
    reader.process.fetch()
    (update,) = reader.process.read(now=NOW).shards["debian-12"]

    (described,) = reader.process.describe([update])

    assert (update.details.cves, described.details.cves) == (None, ("CVE-2026-12345",))
    assert reader.heard[-1] == ("describing", 0, 1)


def test_a_document_about_a_cve_joins_the_update_whose_changelog_told_it(
    reader: Reader, tmp_path: Path
) -> None:
    words = {"id": "CVE-2026-12345", "modified": "2026-03-02T12:00:00Z", "details": "A hole."}
    (tmp_path / "cve.json").write_text(json.dumps(words))
    process = FeedProcess(
        reader.spool,
        root=reader.sources.root,
        advisories=[tmp_path / "cve.json"],
        heard=lambda *_: None,
    )
    process.fetch()
    (before,) = process.read(now=NOW).shards["debian-12"]
    process.describe([before])

    process.fetch()

    (after,) = process.read(now=NOW).shards["debian-12"]
    assert before.details.cves is None and after.details.cves == ("CVE-2026-12345",)
    assert after.details.description.endswith("A hole.") and after.leaves == before.leaves


def test_lists_that_apt_has_just_fetched_are_read_where_they_lie(
    reader: Reader, archive: AptRepository
) -> None:
    reader.sources.update()
    archive.add(SECURITY, "toy", "1.0-1+deb12u2")
    archive.publish(SECURITY, label="Debian-Security")
    fresh = reader.titles()
    reader.sources.age(timedelta(hours=2))

    assert (fresh, reader.titles()) == (["toy 1.0-1+deb12u1"], ["toy 1.0-1+deb12u2"])


def test_what_was_fetched_since_is_not_given_up_for_apts_older_lists(
    reader: Reader, archive: AptRepository
) -> None:
    reader.sources.update()
    reader.sources.age(timedelta(hours=2))
    reader.titles()
    reader.sources.age(timedelta(minutes=59))
    archive.add(SECURITY, "toy", "1.0-1+deb12u2")
    archive.publish(SECURITY, label="Debian-Security")

    assert reader.titles() == ["toy 1.0-1+deb12u2"]


def test_without_a_way_to_the_archive_a_days_old_lists_serve_and_it_is_said(
    reader: Reader, archive: AptRepository
) -> None:
    reader.sources.update()
    archive.folder.rename(archive.folder.with_name("gone"))
    reader.sources.age(timedelta(hours=23))
    titles = reader.titles()
    note = reader.process.read(now=NOW).note
    reader.sources.age(timedelta(hours=25))

    assert titles == ["toy 1.0-1+deb12u1"] and note.startswith("what apt fetched at ")
    with pytest.raises(FeedUnreachable):
        reader.process.fetch()


def test_lists_of_apts_are_believed_for_their_signature_only(reader: Reader) -> None:
    reader.sources.update()
    (path,) = reader.sources.lists.glob("*security_InRelease")
    path.write_bytes(path.read_bytes().replace(b"Debian-Security", b"Debian-Insecure"))

    with pytest.raises(FeedDamaged):
        reader.process.fetch()


def test_a_source_that_apt_has_never_fetched_is_said_to_be_missing(reader: Reader) -> None:
    reader.sources.update()
    lines = reader.sources.root / "etc/apt/sources.list"
    lines.write_text(lines.read_text() + f"deb [trusted=yes] file:{'/long' * 99} more main\n")
    reader.process.fetch()

    content = reader.process.read(now=NOW)

    assert not content.is_whole and "more was not fetched" in content.note


def test_nothing_of_the_machine_is_changed(reader: Reader) -> None:
    before = sorted(reader.sources.root.rglob("*"))
    reader.titles()

    assert sorted(reader.sources.root.rglob("*")) == before


def running() -> list[str]:
    """Return the command lines of all processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return lines


def test_it_ends_in_a_moment_with_the_server(reader: Reader, archive: AptRepository) -> None:
    # A named pipe where a list should be keeps apt waiting for ever.
    release = archive.folder / "dists" / SECURITY / "InRelease"
    release.unlink()
    os.mkfifo(release)
    threading.Timer(0.5, reader.process.stop).start()
    start = time.monotonic()

    with pytest.raises(Unavailable, match="not wanted any more"):
        reader.process.fetch()
    assert time.monotonic() - start < 10
    assert [line for line in running() if str(reader.spool) in line] == []


def test_a_file_that_was_changed_under_way_is_refused_whole(reader: Reader) -> None:
    reader.process.fetch()
    path = reader.spool / "content"
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(InvalidDocument):
        unpack_spool(path.read_bytes())


ABUSES = {
    "a file without end": (
        "lambda self, now, selection: os.truncate(os.open('f', os.O_CREAT | 1), 3 << 30)"
    ),
    "memory without end": "lambda self, now, selection: bytearray(8 << 30)",
    "no end": "lambda self, now, selection: exec('while True: pass')",
}


@pytest.mark.parametrize("abuse", ABUSES.values(), ids=ABUSES)
def test_a_feed_that_takes_without_end_gets_one_clear_error(abuse: str, tmp_path: Path) -> None:
    process = (
        "import os, sys, patchtide.entry.feed.__main__ as feed;"
        f"feed.CPU_S = 1; feed.MachineFeed.fetch = {abuse}; sys.exit(feed.main())"
    )
    options = ("fetch", "--spool", tmp_path / "spool", "--out", tmp_path / "content")

    done = subprocess.run(
        [sys.executable, "-c", process, *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    said = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, said["code"], done.stderr) == (1, "feed-too-big", "")
    assert not (tmp_path / "content").exists()


def test_what_the_server_is_handed_is_seen_before_it_is_read(tmp_path: Path) -> None:
    process = FeedProcess(tmp_path, heard=lambda *_: None)
    content = tmp_path / "content"
    content.touch()
    os.truncate(content, 4 << 40)  # none of it is on the disk
    with pytest.raises(FeedTooBig, match="4398046511104 bytes"):
        process.read(now=NOW)

    content.unlink()
    os.mkfifo(content)
    with pytest.raises(FeedDamaged, match="is no file"):
        process.read(now=NOW)


def test_what_it_leaves_is_for_the_server_alone(reader: Reader) -> None:
    reader.process.fetch()

    modes = {
        path.name: path.stat().st_mode & 0o777 for path in (reader.spool, *reader.spool.iterdir())
    }
    assert modes == {"spool": 0o700, "apt": 0o700, "vendors": 0o700, "content": 0o600}


def test_what_is_as_it_was_is_not_handed_over_anew(reader: Reader, archive: AptRepository) -> None:
    reader.titles()
    before = (reader.spool / "content").stat()
    reader.titles()
    again = (reader.spool / "content").stat()
    archive.add(SECURITY, "toy", "1.0-1+deb12u2")
    archive.publish(SECURITY, label="Debian-Security")

    assert (again.st_ino, again.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert reader.titles() == ["toy 1.0-1+deb12u2"]


@needs_rpm
def test_rpm_repositories_are_read_by_the_same_process(tmp_path: Path, key: SigningKey) -> None:
    repository = RpmRepository(folder=tmp_path / "repository", key=key)
    toy = Rpm("toy", "1.1-1.el9")
    repository.add(toy)
    repository.advisories = [Told(id="TOY-1", packages=(toy,))]
    repository.publish()
    system = RpmSystem(root=tmp_path / "root")
    system.source("base", repository.uri, key)
    feed = FeedProcess(tmp_path / "spool", kind="rpm", root=system.root, heard=lambda *_: None)

    feed.fetch()

    (update,) = feed.read(now=NOW).shards["toylinux-9"]
    assert (update.details.title, update.details.cves) == ("TOY-1 a fix", ("CVE-2026-12345",))
    before = (tmp_path / "spool/content").stat().st_ino
    feed.fetch()
    assert (tmp_path / "spool/content").stat().st_ino == before


@needs_rpm
def test_advisories_beside_a_feed_change_what_is_told_and_no_leaf(
    tmp_path: Path, key: SigningKey
) -> None:
    repository = RpmRepository(folder=tmp_path / "repository", key=key)
    grub = Rpm("shim-x64", "15.6-1.el9.alma")
    repository.add(grub)
    repository.advisories = [
        Told(id="ALSA-2022:5099", packages=(grub,), severity="", cves=(), description="")
    ]
    repository.publish()
    system = RpmSystem(root=tmp_path / "root")
    system.source("base", repository.uri, key)

    def told(*paths: Path) -> FeedUpdate:
        feed = FeedProcess(
            tmp_path / "spool",
            kind="rpm",
            root=system.root,
            advisories=paths,
            heard=lambda *_: None,
        )
        feed.fetch()
        (update,) = feed.read(now=NOW).shards["toylinux-9"]
        return update

    alone, enriched = told(), told(ADVISORIES)

    assert alone.leaves == enriched.leaves
    assert (alone.details.severity, alone.details.cves) == (Severity.NONE, ())
    assert enriched.details.severity is Severity.IMPORTANT and len(enriched.details.cves or ()) == 8
    assert told() == alone


def test_a_reading_that_is_ended_says_why_in_words(reader: Reader) -> None:
    reader.process.stop()

    with pytest.raises(Unavailable, match="not read: it is not wanted any more") as ended:
        reader.process.fetch()
    assert sys.executable not in str(ended.value)
