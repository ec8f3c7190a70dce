"""What a vendor signed goes through the site to a machine, which believes the vendor alone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from patchtide.adapters.platforms.apt_vendors import AptVendors
from patchtide.adapters.trust.keys import KeyFolder
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.agent.ports.content import ContentRefused
from patchtide.agent.ports.trust import TargetAbsent
from patchtide.agent.vendors import NotVouched, VendorRefused, Vendors
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.updates import LeafFile, Origin, UpdateNumber
from patchtide.entry.server.feed_process import FeedProcess
from patchtide.entry.server.node import SystemClock
from patchtide.server import vendor_shelf
from patchtide.server.feed_dates import FeedWentBack
from patchtide.server.synchronisation import Synchronisation
from patchtide.server.vendor_shelf import STAYS, VendorIndexChanged, VendorShelf
from patchtide.wire.vendor_indexes import (
    PackedV1,
    VendorIndexesV1,
    encode_vendors,
    pack_index,
    read_vendors,
    vendors_target_of,
)
from tests.integration.catalog.node import Node, leaves, node
from tests.simulator.apt_repository import AptRepository, SigningKey, apt_folder, needs_apt

pytestmark = [pytest.mark.anyio, needs_apt]
SHARD, SECURITY = "debian-12", "bookworm-security"


@pytest.fixture(scope="module")
def key() -> Iterator[SigningKey]:
    with SigningKey("vendor") as made:
        yield made


@pytest.fixture
def archive(tmp_path: Path, key: SigningKey) -> AptRepository:
    made = AptRepository(folder=tmp_path / "archive", key=key)
    made.add("bookworm", "toy", "1.0-1")
    made.publish("bookworm", version="12.15", lives=None)
    made.add(SECURITY, "toy", "1.0-1+deb12u1")
    made.publish(SECURITY, label="Debian-Security")
    return made


@dataclass
class Site:
    """A site that reads the archive; `trust` and `blobs` are how a machine sees it."""

    here: Node
    feed: FeedProcess
    keyrings: Path

    def __post_init__(self) -> None:
        folder = self.here.folder
        self.signer = TrustRepository(folder / "published", KeyFolder(folder / "keys"))
        self.shelf = VendorShelf(
            content=self.here.content,
            signer=self.signer,
            lineage=self.here.catalog.lineage,
            naming=self.here.catalog.naming,
        )

    async def synchronise(self) -> None:
        await Synchronisation(
            feed=self.feed,
            reading=self.here.storage,
            decisions=self.here.storage,
            publisher=self.here.catalog,
            details=self.here.details,
            clock=SystemClock(),
            vendors=self.shelf,
        ).run("admin")

    def leaf(self) -> Leaf:
        [update] = self.feed.read(now=datetime.now(UTC)).shards[SHARD]
        return replace(update.leaves[0], number=UpdateNumber(7))

    def verified(self, *leaves: Leaf, architecture: str = "amd64") -> frozenset[int]:
        keys = AptVendors("debian", architecture, root=self.keyrings)
        vendors = Vendors(trust=self, blobs=self, keys=keys)  # type: ignore[arg-type]
        found = vendors.verdicts(leaves, SHARD)
        return frozenset(n for n, said in found.items() if not isinstance(said, NotVouched))

    def read_target(self, path: str, max_size: int) -> bytes:
        found = self.signer.signed([path])
        if path not in found:
            raise TargetAbsent(path)
        return found[path]

    def read(self, digest: bytes, *, at_most: int) -> bytes:
        data = self.here.content.path(digest.hex()).read_bytes()
        if sha256(data).digest() != digest or len(data) > at_most:
            raise ContentRefused
        return data

    def document(self) -> VendorIndexesV1:
        target = vendors_target_of(SHARD)
        return read_vendors(self.read_target(target, 1 << 20), shard=SHARD)

    def forge(self, document: VendorIndexesV1) -> None:
        """What the site's online keys can sign."""
        files = {vendors_target_of(SHARD): encode_vendors(document)}
        self.signer.publish("feeds", files, self.here.clock.now())

    def put(self, data: bytes) -> PackedV1:
        packed = pack_index(data)
        return PackedV1(bytes.fromhex(self.here.content.put(packed)), len(packed), len(data))


@pytest.fixture
async def site(
    database_url: str, tmp_path: Path, archive: AptRepository, key: SigningKey
) -> AsyncIterator[Site]:
    keyrings = tmp_path / "machine"
    folder = keyrings / "usr/share/keyrings"
    folder.mkdir(parents=True)
    ring = key.keyring(folder / "debian-archive-keyring.gpg")
    lines = [f"deb [signed-by={ring}] {archive.uri} {x} main" for x in ("bookworm", SECURITY)]
    apt_folder(tmp_path / "root/etc/apt", *lines)
    feed = FeedProcess(tmp_path / "spool", root=tmp_path / "root", heard=lambda *_: None)
    async with node(database_url, tmp_path / "here") as here:
        yield Site(here, feed, keyrings)


async def test_a_run_that_was_overtaken_signs_no_older_index(site: Site) -> None:
    await site.synchronise()
    before = site.document()
    content = site.feed.read(now=datetime.now(UTC))
    older = {SHARD: [replace(index, name="older") for index in content.vendors[SHARD]]}

    def overtaken() -> None:
        raise FeedWentBack

    with pytest.raises(FeedWentBack):
        site.shelf.keep(older, datetime.now(UTC), check=overtaken)
    assert site.document() == before


async def test_what_stays_the_same_is_packed_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed: list[int] = []
    pack = vendor_shelf.pack_index
    monkeypatch.setattr(
        vendor_shelf, "pack_index", lambda data: packed.append(len(data)) or pack(data)
    )
    for _ in range(2):
        site.feed.fetch()
        site.shelf.keep(site.feed.read(now=datetime.now(UTC)).vendors, datetime.now(UTC))

    assert len(packed) == len(set(site.shelf._packed)) > 0


async def test_a_machine_verifies_by_the_vendors_key_what_the_site_has_kept(site: Site) -> None:
    await site.synchronise()
    leaf = site.leaf()
    [file] = leaf.files

    others = {
        "changed": replace(leaf, files=(replace(file, sha256=bytes(32)),)),
        "longer": replace(leaf, files=(replace(file, size_bytes=file.size_bytes + 1),)),
        "renamed": replace(leaf, files=(replace(file, name="other"),)),
        "older": replace(leaf, files=(replace(file, version="1.0-1"),)),
        "more than the vendor has": replace(leaf, files=(file, replace(file, name="other"))),
        "without files": replace(leaf, files=()),
        "a publisher's": replace(leaf, origin=Origin("publisher")),
    }
    assert site.verified(leaf) == {7}
    assert {name: site.verified(other) for name, other in others.items()} == dict.fromkeys(
        others, frozenset()
    )
    assert site.verified(leaf, architecture="arm64") == frozenset()


async def test_the_same_again_signs_nothing_and_a_newer_index_takes_its_place(
    site: Site, archive: AptRepository
) -> None:
    await site.synchronise()
    before, version = site.document(), site.signer.version("feeds")
    site.shelf.keep(site.feed.read(now=datetime.now(UTC)).vendors, site.here.clock.now())
    again = site.signer.version("feeds")
    archive.add(SECURITY, "toy", "1.0-1+deb12u2")
    archive.publish(SECURITY, label="Debian-Security")
    await site.synchronise()

    assert again == version and site.document() != before
    assert [file.version for file in site.leaf().files] == ["1.0-1+deb12u2"]
    assert site.verified(site.leaf()) == {7}


async def test_what_was_replaced_goes_a_week_later_unless_something_names_it(
    site: Site, archive: AptRepository
) -> None:
    await site.synchronise()
    [old] = site.document().indexes
    await publish_again(site, archive, "2")
    [newer] = site.document().indexes
    [listed] = old.lists
    naming = LeafFile(name="x", version="1", sha256=listed.packed.sha256, size_bytes=1)
    await site.here.publish("custom", replace(leaves(1, 1)[0], files=(naming,)))
    vendors = site.feed.read(now=datetime.now(UTC)).vendors

    assert not site.shelf.keep(vendors, datetime.now(UTC) + STAYS - timedelta(hours=1))
    in_time = site.here.content.sizes()
    assert site.shelf.keep(vendors, datetime.now(UTC) + STAYS + timedelta(hours=1)) == 1
    later = site.here.content.sizes()

    assert in_time.keys() - later.keys() == {old.signed.sha256}
    assert {newer.signed.sha256, newer.lists[0].packed.sha256} <= later.keys()
    assert site.verified(site.leaf()) == {7}
    site.here.content.path(listed.packed.sha256.hex()).unlink()
    site.shelf = replace(site.shelf, naming=lambda _: pytest.fail("every leaf is read for nothing"))
    assert not site.shelf.keep(vendors, datetime.now(UTC) + STAYS + timedelta(hours=1))


async def test_what_another_node_has_removed_is_kept_anew(site: Site) -> None:
    await site.synchronise()
    vendors = site.feed.read(now=datetime.now(UTC)).vendors
    site.shelf.keep(vendors, datetime.now(UTC))
    for path in (site.here.content.path(x.signed.sha256.hex()) for x in site.document().indexes):
        path.unlink()

    site.shelf.keep(vendors, datetime.now(UTC))

    assert site.verified(site.leaf()) == {7}


async def test_a_file_is_dropped_only_if_nobody_has_put_it_since(site: Site) -> None:
    content = site.here.content
    digest = content.put(b"vendor")
    put_at = content.path(digest).stat().st_mtime

    kept = content.drop(digest, unless_since=put_at)
    os.utime(content.path(digest), (put_at - 10, put_at - 10))
    again = content.put(b"vendor"), content.drop(digest, unless_since=put_at - 5)
    gone = content.drop(digest, unless_since=put_at + 60)

    assert (kept, again[1], gone) == (False, False, True)
    assert content.sizes() == {} and list(site.here.folder.glob("content/.*")) == []


async def publish_again(site: Site, archive: AptRepository, number: str) -> None:
    archive.add(SECURITY, "toy", f"1.0-1+deb12u{number}")
    archive.publish(SECURITY, label="Debian-Security")
    await site.synchronise()


async def test_what_the_sites_own_keys_sign_is_no_vendors_word(
    site: Site, archive: AptRepository
) -> None:
    await site.synchronise()
    leaf, honest = site.leaf(), site.document()
    evil = replace(leaf, files=(replace(leaf.files[0], sha256=b"\7" * 32),))
    [index] = honest.indexes
    [told] = index.lists
    packages = archive.folder / f"dists/{SECURITY}/main/binary-amd64/Packages"
    forged = packages.read_text().replace(leaf.files[0].sha256.hex(), (b"\7" * 32).hex()).encode()
    release = archive.folder / f"dists/{SECURITY}/InRelease"
    signed = release.read_bytes()
    hashes = (sha256(packages.read_bytes()).hexdigest(), sha256(forged).hexdigest())
    lists = (msgspec.structs.replace(told, packed=site.put(forged)),)
    with SigningKey("other") as other:
        theirs = other.sign(signed.split(b"\n\n", 1)[1].split(b"-----BEGIN PGP SIG")[0])
    lies = {
        "another list": signed,
        "a changed index": signed.replace(*map(str.encode, hashes)),
        "an index of another's": theirs.replace(*map(str.encode, hashes)),
        "words before it": b"SHA256:\n " + hashes[1].encode() + b" 1 x\n" + signed,
        "no signature": signed.split(b"-----BEGIN PGP SIG")[0],
        "nothing": b"",
    }

    for name, lie in lies.items():
        index = msgspec.structs.replace(index, signed=site.put(lie), lists=lists)
        site.forge(msgspec.structs.replace(honest, indexes=(index,)))
        with pytest.raises(VendorRefused):
            pytest.fail(f"{name}: {site.verified(evil)}")


async def test_a_machine_without_the_vendors_key_or_a_site_without_its_word_verifies_nothing(
    site: Site, tmp_path: Path
) -> None:
    [update] = await _read_first(site)
    leaf = replace(update.leaves[0], number=UpdateNumber(7))
    none = site.verified(leaf)
    await site.synchronise()
    site.keyrings = tmp_path / "bare"

    assert none == frozenset()
    with pytest.raises(VendorRefused, match="keys are not on this machine"):
        site.verified(leaf)


async def test_what_was_handed_over_otherwise_than_it_was_verified_is_not_kept(site: Site) -> None:
    await _read_first(site)
    vendors = site.feed.read(now=datetime.now(UTC)).vendors
    for path in (site.here.folder.parent / "spool/vendors").iterdir():
        path.write_bytes(b"something else")

    with pytest.raises(VendorIndexChanged):
        site.shelf.keep(vendors, site.here.clock.now())


async def _read_first(site: Site) -> tuple[FeedUpdate, ...]:
    site.feed.fetch()
    return site.feed.read(now=datetime.now(UTC)).shards[SHARD]
