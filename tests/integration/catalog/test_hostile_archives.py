"""Archives of apt's made to do harm: each ends in one clear error in the history, or in nothing.

What the vendor's key has signed is tried as well, for keys are stolen.
"""

from __future__ import annotations

import asyncio
import lzma
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path

import pytest

from patchtide.entry.server.feed_process import FeedProcess
from tests.integration.catalog.node import Node, node
from tests.integration.catalog.test_hostile_feeds import SECURITY, ZEROS, Reading
from tests.simulator.apt_repository import AptRepository, SigningKey, apt_folder, needs_apt
from tests.simulator.databases import sqlite_url
from tests.simulator.scripted_web import ScriptedWeb, endless, says

pytestmark = [needs_apt, pytest.mark.anyio]
SUITE = f"/dists/{SECURITY}"
INDEX = f"{SUITE}/main/binary-amd64/Packages"
SIGNED = tuple(f"{SUITE}/{name}" for name in ("InRelease", "Release", "Release.gpg"))
NOW = partial(datetime.now, UTC)


@pytest.fixture(scope="module")
def key() -> Iterator[SigningKey]:
    with SigningKey("vendor") as vendor:
        yield vendor


class Site(Reading):
    """A site that reads a suite with one update, from a web server that answers as it is told."""

    def __init__(self, folder: Path, key: SigningKey, web: ScriptedWeb, here: Node) -> None:
        self.web = web
        self.archive = AptRepository(folder=web_folder(folder), key=key)
        self.archive.add("bookworm", "old", "1.0-1")
        self.archive.publish("bookworm", label="Debian-Security", lives=None)
        self.update("1")
        line = f"deb [signed-by={key.keyring(folder / 'vendor.gpg')}] {web.address} {SECURITY} main"
        apt_folder(folder / "root/etc/apt", line)
        self.spool = folder / "spool"
        feed = FeedProcess(self.spool, root=folder / "root", heard=lambda *_: None)
        super().__init__(feed, here)

    def update(self, number: str) -> None:
        self.archive.add(SECURITY, "toy", f"1.0-1+deb12u{number}")
        self.publish()

    def publish(self, *, ago: timedelta = timedelta()) -> None:
        date = format_datetime(NOW() - ago)
        self.archive.publish(SECURITY, label="Debian-Security", Date=date)

    def answers(self, *paths: str, body: bytes) -> None:
        length = str(len(body))
        self.web.paths.update({path: says(body, Content_Length=length) for path in paths})

    def read(self, path: str) -> bytes:
        return (self.archive.folder / path.lstrip("/")).read_bytes()


def web_folder(folder: Path) -> Path:
    return folder / "archive"


@pytest.fixture
async def site(tmp_path: Path, key: SigningKey) -> AsyncIterator[Site]:
    with ScriptedWeb(web_folder(tmp_path)) as web:
        async with node(sqlite_url(tmp_path / "db.sqlite"), tmp_path / "here") as here:
            yield await asyncio.to_thread(Site, tmp_path, key, web, here)


def endless_release(site: Site) -> None:
    site.web.paths.update(dict.fromkeys(SIGNED, endless))


def endless_index(site: Site) -> None:
    site.update("2")
    site.web.paths[INDEX] = endless


def bomb(site: Site) -> None:
    packed = site.archive.folder / f"{INDEX.lstrip('/')}.xz"
    packed.write_bytes(lzma.compress(ZEROS))
    site.update("2")
    site.web.paths[INDEX] = says(b"", 404)


def circle(site: Site) -> None:
    for path in SIGNED:
        site.web.paths[path] = says(b"", 302, Location=f"{site.web.address}{path}")


def other_content(site: Site) -> None:
    site.update("2")
    site.answers(INDEX, body=site.read(INDEX).replace(b"1.0-1+deb12u2", b"1.0-1+deb12u9"))


def other_suite(site: Site) -> None:
    site.archive.publish("bookworm", label="Debian-Security", Date=format_datetime(NOW()))
    site.answers(SIGNED[0], body=site.read("/dists/bookworm/InRelease"))


HOSTILE: dict[str, tuple[Callable[[Site], None], str, str]] = {
    "a Release file without an end": (endless_release, "feed-damaged", "Clearsigned file"),
    "a list without an end": (endless_index, "feed-damaged", "Hash Sum mismatch"),
    "a bomb that the vendor's key has signed": (bomb, "feed-damaged", "Hash Sum mismatch"),
    "redirects in a circle": (circle, "feed-unreachable", "leads elsewhere"),
    "another list than the Release file names": (
        other_content, "feed-damaged", "Hash Sum mismatch",
    ),
    "the Release file of another suite": (other_suite, "feed-damaged", "changed its 'Codename'"),
}  # fmt: skip


@pytest.mark.parametrize(("harm", "code", "said"), HOSTILE.values(), ids=HOSTILE)
async def test_it_is_refused_with_a_clear_error_and_the_catalog_stays(
    site: Site, harm: Callable[[Site], None], code: str, said: str
) -> None:
    good = await site.synchronise()
    before = site.here.catalog.serials()
    await asyncio.to_thread(harm, site)

    state, found, words = await site.synchronise()

    assert good[0] == "done"
    assert (state, found) == ("failed", code) and said in words
    assert site.here.catalog.serials() == before != {}


async def test_an_older_release_file_that_was_valid_then_takes_nothing_back(site: Site) -> None:
    site.publish(ago=timedelta(days=1))
    older = {path: site.read(path) for path in (SIGNED[0], INDEX)}
    await asyncio.to_thread(site.update, "2")
    good = await site.synchronise()
    before = site.here.catalog.serials()
    for path, body in older.items():
        site.answers(path, body=body)

    again = await site.synchronise()
    kept = site.here.catalog.serials()
    await asyncio.to_thread(shutil.rmtree, site.spool)
    refused = await site.synchronise()

    assert (good[0], again[0]) == ("done", "done"), "apt itself keeps what is newer"
    assert refused[:2] == ("failed", "feed-went-back") and "read before" in refused[2]
    assert kept == site.here.catalog.serials() == before != {}
