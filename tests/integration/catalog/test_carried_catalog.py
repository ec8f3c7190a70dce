"""CAT-8: a catalog goes in a file to a site without a line, and comes to the same there."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from patchtide.domain.catalog.details import FeedUpdate, Severity
from patchtide.domain.catalog.updates import LeafFile
from patchtide.entry.server.feeds_together import feed_of
from patchtide.server.ports.feed import VendorFile, VendorIndex
from patchtide.wire.vendor_indexes import VendorIndexV1, read_vendors, vendors_target_of
from tests.integration.catalog.carrying_site import Site, site
from tests.integration.catalog.node import a_leaf
from tests.integration.catalog.test_synchronisation import SHARD, updates
from tests.simulator.databases import sqlite_url

pytestmark = pytest.mark.anyio
PACKAGE = b"the package of curl"


def some(**versions: str) -> list[FeedUpdate]:
    """Return updates of which people read something, and whose packages have digests."""
    return [_described(update) for update in updates(**versions)]


def _described(update: FeedUpdate) -> FeedUpdate:
    details = replace(
        update.details, severity=Severity.CRITICAL, cves=("CVE-2026-7",), description="Mind it.",
        licence="Be good.",
    )  # fmt: skip
    file = LeafFile(
        name="curl", version="3", sha256=sha256(PACKAGE).digest(), size_bytes=len(PACKAGE)
    )
    leaves = tuple(replace(leaf, files=(file,), floors=()) for leaf in update.leaves)
    return FeedUpdate(details=details, leaves=leaves)


@pytest.fixture
async def hq(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(sqlite_url(tmp_path / "hq.db"), tmp_path / "hq", "hq", feed=True) as made:
        made.here.content.put(PACKAGE)
        await made.synchronise(*some(openssl="2", curl="3"))
        yield made


@pytest.fixture
async def ship(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with site(database_url, tmp_path / "ship", "ship") as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.ptc"


async def test_it_comes_to_the_same_with_all_that_people_read_and_its_packages(
    hq: Site, ship: Site, file: Path
) -> None:
    await ship.trusts(hq)
    _, made = await hq.ask(f"export {file}")
    code, said = await ship.ask(f"import {file}")
    told = {x.title: x for x in ship.here.storage.update_details()}

    assert (code, said["state"], said["new"], said["revised"]) == (0, "done", 2, 0), said
    assert (made["updates"], made["contents"]) == (2, 1)
    assert ship.titles() == hq.titles() == ["curl 3", "openssl 2"]
    assert told == {x.title: x for x in hq.here.storage.update_details()}
    assert ship.here.content.path(sha256(PACKAGE).hexdigest()).read_bytes() == PACKAGE
    assert "of hq, made at 2026-03-02 12:00" in said["note"]


async def test_the_same_catalog_is_the_same_file(hq: Site, tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    await hq.ask(f"export {one}")
    hq.here.clock.advance(hours=3)
    await hq.ask(f"export {two}")
    await hq.synchronise(*some(openssl="2", curl="4"))
    await hq.ask(f"export {three}")

    assert one.read_bytes() == two.read_bytes() != three.read_bytes()


async def test_what_changes_is_told_and_a_repeat_changes_nothing(
    hq: Site, ship: Site, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    await ship.trusts(hq)
    await hq.ask(f"export {one}")
    await ship.ask(f"import {one}")
    await hq.synchronise(*some(openssl="4", nginx="1"))
    await hq.ask(f"export {two}")
    _, second = await ship.ask(f"import {two}")
    serials = ship.here.catalog.serials()
    code, again = await ship.ask(f"import {two}")
    expired = {x.title for x in ship.here.storage.update_details() if x.expired_at}

    assert (second["new"], second["gone"]) == (2, 2)
    assert ship.titles() == ["nginx 1", "openssl 4"] and expired == {"curl 3", "openssl 2"}
    assert (code, again["new"], again["revised"], again["gone"]) == (0, 0, 0, 0)
    assert ship.here.catalog.serials() == serials


async def test_a_byte_that_changed_within_what_vouches_is_damage(
    hq: Site, ship: Site, file: Path
) -> None:
    await ship.trusts(hq)
    await hq.ask(f"export {file}")
    whole = file.read_bytes()
    at = whole.rindex(b'"_type"')  # of the targets, which come after the roots
    file.write_bytes(whole[:at] + b"\0" + whole[at + 1 :])
    code, said = await ship.ask(f"import {file}")

    assert (code, said["code"]) == (1, "catalog-file-damaged")
    assert "targets cannot be read" in said["detail"]


async def test_an_older_file_is_refused(hq: Site, ship: Site, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    await ship.trusts(hq)
    await hq.ask(f"export {one}")
    await hq.synchronise(*some(openssl="4", curl="3"))
    await hq.ask(f"export {two}")
    await ship.ask(f"import {two}")
    code, said = await ship.ask(f"import {one}")

    assert (code, said["code"]) == (1, "catalog-file-went-back")
    assert ship.titles() == ["curl 3", "openssl 4"]


async def test_a_site_that_nobody_pinned_is_refused_and_its_root_is_named(
    hq: Site, ship: Site, file: Path
) -> None:
    _, made = await hq.ask(f"export {file}")
    code, said = await ship.ask(f"import {file}")

    assert (code, said["code"]) == (1, "exporter-unknown") and made["root"] in said["detail"]
    assert ship.titles() == []


async def test_keys_may_change_and_files_under_the_former_ones_count_no_more(
    hq: Site, ship: Site, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    await ship.trusts(hq)
    await hq.ask(f"export {one}")
    for role in ("root", "targets", "feeds"):
        key = hq.repository.make_key(role)
        now = hq.here.clock.now()
        drafts = hq.repository.draft_threshold(role, [key], 1, now, keep=False)
        hq.repository.accept(hq.repository.signed_here(drafts), now)
    await hq.synchronise(*some(openssl="4"))
    await hq.ask(f"export {two}")
    code, said = await ship.ask(f"import {two}")
    old, refused = await ship.ask(f"import {one}")

    assert code == 0, said
    assert (old, refused["code"]) == (1, "exporter-unknown")


async def test_what_people_published_there_has_to_be_signed_here(
    hq: Site, ship: Site, file: Path
) -> None:
    own = a_leaf("tool")
    await hq.here.publish("custom", own)
    await ship.trusts(hq)
    await hq.ask(f"export {file}")
    code, said = await ship.ask(f"import {file}")

    assert code == 0 and set(ship.here.catalog.serials()) == {SHARD}
    assert "refused 1: published by people there" in said["note"]


async def test_a_damaged_file_is_refused_before_anything_of_it_is_read(
    hq: Site, ship: Site, file: Path
) -> None:
    await ship.trusts(hq)
    await hq.ask(f"export {file}")
    whole = bytearray(file.read_bytes())
    whole[-1] ^= 1
    file.write_bytes(whole)
    code, said = await ship.ask(f"import {file}")

    assert (code, said["code"]) == (1, "catalog-file-damaged")
    assert not any(name == "catalog.take-in" for name, _ in ship.asked)


async def test_the_server_looks_itself_and_says_in_the_history_what_was_wrong(
    hq: Site, ship: Site, file: Path
) -> None:
    await ship.trusts(hq)
    _, made = await hq.ask(f"export {file}")
    whole = bytearray(file.read_bytes())
    whole[-1] ^= 1
    folder = ship.imports / f"{made['export']}.arriving"
    folder.write_bytes(whole)
    begun = await ship.plane.ask(
        "POST",
        "/api/v1/catalog/imports",
        token=await ship.plane.token(role="full-administrator"),
        document={"export": made["export"]},
    )
    desk = ship.plane.context.synchronisations
    while (run := desk.runs()[0]).state == "running":
        await asyncio.sleep(0.02)

    assert begun.status == 202
    assert run.state == "failed" and "is not what was signed" in run.error
    assert ship.titles() == [] and not folder.exists()
    assert not ship.here.content.path(sha256(PACKAGE).hexdigest()).exists()


async def test_a_transfer_that_was_cut_off_goes_on_where_it_was(
    hq: Site, ship: Site, file: Path
) -> None:
    await ship.trusts(hq)
    _, made = await hq.ask(f"export {file}")
    data, name = file.read_bytes(), made["export"]
    cut = len(data) // 2
    (ship.imports / f"{name}.arriving").write_bytes(data[:cut])
    file.with_name(f"{file.name}.{name[:16]}.part").write_bytes(data[:cut])
    file.unlink()
    hq.asked.clear()
    await hq.ask(f"export {file}")
    code, _ = await ship.ask(f"import {file}")

    fetched = [values["offset"] for asked, values in hq.asked if asked == "catalog.export-piece"]
    sent = [values["offset"] for asked, values in ship.asked if asked == "catalog.import-piece"]
    assert code == 0 and file.read_bytes() == data
    assert (fetched, sent) == ([cut], [0, cut])


async def test_a_file_whose_site_let_its_root_end_is_refused(
    hq: Site, ship: Site, file: Path
) -> None:
    await ship.trusts(hq)
    await hq.ask(f"export {file}")
    ship.here.clock.advance(days=timedelta(days=366).days)
    code, said = await ship.ask(f"import {file}")

    assert (code, said["code"]) == (1, "catalog-file-not-signed") and "renew" in said["detail"]


async def test_a_repeat_writes_nothing_of_the_catalog(hq: Site, tmp_path: Path, file: Path) -> None:
    url = tmp_path / "here.db"
    async with site(f"sqlite:///{url}", tmp_path / "here", "here") as here:
        await here.trusts(hq)
        await hq.ask(f"export {file}")
        await here.ask(f"import {file}")
        looking = sqlite3.connect(f"file:{url}?mode=ro", uri=True)
        tables = ("catalog_leaf", "catalog_update", "catalog_number", "number_block")
        before = [looking.execute(f"SELECT * FROM {t}").fetchall() for t in tables]
        await here.ask(f"import {file}")
        after = [looking.execute(f"SELECT * FROM {t}").fetchall() for t in tables]
        looking.close()

    assert before == after


async def test_what_vendors_signed_goes_along_so_that_machines_there_can_verify_it(
    hq: Site, ship: Site, file: Path
) -> None:
    def told(key: str, data: bytes) -> VendorFile:
        return VendorFile(key=key, sha256=sha256(data).digest(), read=lambda: data)

    packages = told("main/binary-amd64/Packages", b"Package: curl")
    index = VendorIndex(
        kind="apt", name="security", signed=told("InRelease", b"signed"), lists=(packages,)
    )
    hq.shelf.keep({SHARD: (index,)}, hq.here.clock.now())
    await ship.trusts(hq)
    await hq.ask(f"export {file} --without-content")
    code, said = await ship.ask(f"import {file}")
    [target] = [vendors_target_of(SHARD)]
    above, below = (x.repository.signed([target])[target] for x in (hq, ship))

    assert code == 0, said
    assert _indexes(below) == _indexes(above) and _lineage(below) != _lineage(above)
    for packed in (_indexes(below)[0].signed, _indexes(below)[0].lists[0].packed):
        assert ship.here.content.path(packed.sha256.hex()).exists()


def _indexes(document: bytes) -> tuple[VendorIndexV1, ...]:
    return read_vendors(document, shard=SHARD).indexes


def _lineage(document: bytes) -> bytes:
    return read_vendors(document, shard=SHARD).lineage


async def test_without_content_the_packages_stay(hq: Site, ship: Site, file: Path) -> None:
    await ship.trusts(hq)
    _, made = await hq.ask(f"export {file} --without-content")
    await ship.ask(f"import {file}")

    assert made["contents"] == 0 and ship.titles() == hq.titles()
    assert not ship.here.content.path(sha256(PACKAGE).hexdigest()).exists()


async def test_the_process_that_reads_feeds_hands_over_what_was_taken_in(
    hq: Site, tmp_path: Path, file: Path
) -> None:
    async with site(sqlite_url(tmp_path / "here.db"), tmp_path / "here", "here") as here:
        feed = feed_of(["imported"], tmp_path / "feed", heard=_nobody, imports=here.imports)
        assert feed is not None
        await asyncio.to_thread(feed.fetch)
        nothing = feed.read(now=here.here.clock.now())
        await here.trusts(hq)
        await hq.ask(f"export {file}")
        await here.ask(f"import {file}")
        await asyncio.to_thread(feed.fetch)
        content = feed.read(now=here.here.clock.now())

    assert nothing.shards == {} and "no catalog was taken in yet" in nothing.note
    assert {x.details.title for x in content.shards[SHARD]} == {"curl 3", "openssl 2"}
    assert "of hq" in content.note and set(content.as_of) == {"catalog of hq"}


def _nobody(step: str, done: int, of: int) -> None:
    """Nobody hears how far it is."""
