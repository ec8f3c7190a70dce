"""Feeds made to do harm: each ends in one clear error in the history, and the catalog stays.

What the vendor's key has signed is tried as well, for keys are stolen.
"""

from __future__ import annotations

import asyncio
import bz2
import gzip
import lzma
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard

from patchtide.entry.server.feed_process import FeedProcess
from patchtide.server.ports.feed import Step
from patchtide.server.synchronisation import Synchronisation
from patchtide.server.synchronisation_desk import Progress, SynchronisationDesk
from tests.integration.catalog.node import Node, node
from tests.simulator.apt_repository import AptRepository, SigningKey, apt_folder, needs_apt
from tests.simulator.clock import FakeClock
from tests.simulator.databases import sqlite_url
from tests.simulator.rpm_repository import Rpm, RpmRepository, RpmSystem, Told, needs_rpm
from tests.simulator.scripted_web import ScriptedWeb, endless, says

pytestmark = [needs_rpm, pytest.mark.anyio]
TOY = Rpm("toy", "1.1-1.el9")
ZEROS = bytes(60 << 20)
SECURITY = "bookworm-security"
LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))


@pytest.fixture(scope="module")
def keys() -> Iterator[tuple[SigningKey, SigningKey]]:
    with SigningKey("vendor") as vendor, SigningKey("stranger") as stranger:
        yield vendor, stranger


class Reading:
    """A site that reads one feed."""

    def __init__(self, feed: FeedProcess, here: Node) -> None:
        self.here = here
        self.clock = FakeClock(datetime.now(UTC))
        self.desk = SynchronisationDesk(
            synchronisation=Synchronisation(
                feed=feed, reading=here.storage, decisions=here.storage, publisher=here.catalog,
                details=here.details, clock=self.clock,
            ),
            stop=lambda: None, progress=Progress(), decisions=here.storage,
            lookups=here.storage, clock=self.clock, node="here",
        )  # fmt: skip

    async def synchronise(self) -> tuple[str, str, str]:
        """Return what the history says of it: how it ended, the code and the words."""
        self.clock.advance(hours=2)
        await self.desk.step()
        await self.desk.close()
        run = self.desk.runs()[0]
        return run.state, run.code, run.error


class Site(Reading):
    """A repository behind a web server, and a site that reads it."""

    def __init__(
        self, folder: Path, keys: tuple[SigningKey, SigningKey], web: ScriptedWeb, here: Node
    ) -> None:
        self.web, self.stranger = web, keys[1]
        self.repository = RpmRepository(folder=folder / "repository", key=keys[0])
        self.repository.add(TOY)
        self.repository.advisories = [Told(id="TOY-1", packages=(TOY,))]
        self.repository.publish()
        system = RpmSystem(root=folder / "root")
        system.source("base", web.address, keys[0])
        feed = FeedProcess(folder / "spool", kind="rpm", root=system.root, heard=lambda *_: None)
        super().__init__(feed, here)

    def news(self, xml: str | bytes, ending: str = "", *, size: int | None = None) -> None:
        """Publish something else in place of the advisories."""
        data = xml if isinstance(xml, bytes) else xml.encode()
        self.repository.put("updateinfo", data, ending, open_size=size)


@pytest.fixture
async def site(tmp_path: Path, keys: tuple[SigningKey, SigningKey]) -> AsyncIterator[Site]:
    with ScriptedWeb(tmp_path / "repository") as web:
        async with node(sqlite_url(tmp_path / "db.sqlite"), tmp_path / "here") as here:
            yield await asyncio.to_thread(Site, tmp_path, keys, web, here)


def path_of(site: Site, kind: str) -> str:
    return f"/repodata/{site.repository.data(kind).name}"


def wrong_signature(site: Site) -> None:
    site.repository.publish("--revision=2")
    site.repository.sign(site.stranger)


def other_content(site: Site) -> None:
    site.news("<updates><update/></updates>")
    path = site.repository.data("updateinfo")
    path.write_bytes(path.read_bytes().replace(b"<update/>", b"<updata/>"))


def endless_advisories(site: Site) -> None:
    site.news("<updates></updates>")
    site.web.paths[path_of(site, "updateinfo")] = endless


def redirected(site: Site) -> None:
    site.news("<updates></updates>")
    site.web.paths[path_of(site, "updateinfo")] = says(b"", 302, Location="http://localhost:22/")


def packed(pack: Callable[[bytes], bytes], ending: str) -> Callable[[Site], None]:
    return lambda site: site.news(pack(ZEROS), ending, size=1000)


def advisories(xml: str) -> Callable[[Site], None]:
    return lambda site: site.news(xml)


HOSTILE: dict[str, tuple[Callable[[Site], None], str, str]] = {
    "an index without an end": (
        lambda site: site.web.paths.update({"/repodata/repomd.xml": endless}),
        "feed-damaged", "has no end",
    ),
    "advisories without an end": (endless_advisories, "feed-damaged", "is more than the"),
    "a gzip bomb": (packed(gzip.compress, ".gz"), "feed-damaged", "more than 1000 bytes"),
    "a bzip2 bomb": (packed(bz2.compress, ".bz2"), "feed-damaged", "more than 1000 bytes"),
    "an xz bomb": (packed(lzma.compress, ".xz"), "feed-damaged", "more than 1000 bytes"),
    "a zstd bomb": (packed(zstandard.compress, ".zst"), "feed-damaged", "more than 1000 bytes"),
    "entities that multiply": (
        advisories(f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><x>&l9;</x>'),
        "feed-damaged", "document type",
    ),
    "an entity from a file": (
        advisories('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'),
        "feed-damaged", "document type",
    ),
    "elements in elements": (advisories("<a>" * 100_000), "feed-damaged", "nested more than"),
    "an index of tiny elements": (
        lambda site: site.repository.edit_index("</repomd>", "<a/>" * 10_000 + "</repomd>"),
        "feed-damaged", "too many elements",
    ),
    "a tag without an end": (
        advisories("<updates " + "a" * (3 << 20)), "feed-damaged", "tag without an end",
    ),
    "a stranger's signature": (wrong_signature, "feed-not-signed", "unknown keys"),
    "other content than the index names": (other_content, "feed-damaged", "is not the one"),
    "a way to this very machine": (redirected, "feed-unreachable", "where no feed is asked"),
    "a way out of the repository": (
        lambda site: site.repository.edit_index("repodata/", "../../../etc/"),
        "feed-damaged", "not under the repository",
    ),
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


@needs_apt
async def test_apt_does_not_go_where_an_archive_leads_it(
    tmp_path: Path, keys: tuple[SigningKey, SigningKey]
) -> None:
    archive = AptRepository(folder=tmp_path / "archive", key=keys[0])
    archive.add(SECURITY, "toy", "1.0-1+deb12u1")
    archive.publish(SECURITY)
    keyring = keys[0].keyring(tmp_path / "vendor.gpg")
    with ScriptedWeb(archive.folder) as web, ScriptedWeb(archive.folder) as inside:
        line = f"deb [signed-by={keyring}] {web.address} {SECURITY} main"
        apt_folder(tmp_path / "root/etc/apt", line)
        feed = FeedProcess(tmp_path / "spool", root=tmp_path / "root", heard=lambda *_: None)
        async with node(sqlite_url(tmp_path / "db.sqlite"), tmp_path / "here") as here:
            site = Reading(feed, here)
            good = await site.synchronise()
            before = here.catalog.serials()
            for name in ("InRelease", "Release", "Release.gpg"):
                path = f"/dists/{SECURITY}/{name}"
                web.paths[path] = says(b"", 302, Location=f"{inside.address}{path}")

            state, code, words = await site.synchronise()
            tried = await asyncio.to_thread(feed.try_all)

            assert good[0] == "done" and here.catalog.serials() == before != {}
    assert (state, code) == ("failed", "feed-unreachable") and "leads elsewhere" in words
    assert [each.step for each in tried] == [Step.STATUS]
    assert inside.asked == []
