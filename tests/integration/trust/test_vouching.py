"""Whose catalog a file is: by the root that was pinned, whatever else the file says."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from patchtide.adapters.trust.keys import KeyFolder
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.adapters.trust.vouching import Voucher, verified
from patchtide.server.ports.catalog_files import CatalogFileNotSigned, ExporterUnknown, Pin
from patchtide.wire.catalog_file import CatalogFileDamaged, SignatureV1, VoucherV1
from tests.simulator.clock import START

MANIFEST = b"what is in the file"


class Site:
    def __init__(self, folder: Path) -> None:
        keys = KeyFolder(folder / "keys")
        self.repository = TrustRepository(folder / "published", keys)
        self.repository.create(START)
        self.voucher = Voucher(folder / "published", keys)
        self.pin = Pin(root=self.voucher.root_digest())

    def rotate(self, *roles: str, keep: bool = False) -> None:
        for role in roles:
            key = self.repository.make_key(role)
            drafts = self.repository.draft_threshold(role, [key], 1, START, keep=keep)
            self.repository.accept(self.repository.signed_here(drafts), START)


@pytest.fixture
def hq(tmp_path: Path) -> Site:
    return Site(tmp_path / "hq")


@pytest.fixture
def other(tmp_path: Path) -> Site:
    return Site(tmp_path / "other")


def check(voucher: VoucherV1, pin: Pin, manifest: bytes = MANIFEST) -> Pin:
    _, found = verified(voucher, manifest, pins={"hq": pin}, now=START)
    return found


def test_a_pinned_sites_manifest_holds(hq: Site) -> None:
    assert check(hq.voucher.vouch(MANIFEST), hq.pin) == Pin(root=hq.pin.root, targets=1)


def test_no_other_manifest_holds(hq: Site) -> None:
    with pytest.raises(CatalogFileNotSigned, match="wrong"):
        check(hq.voucher.vouch(MANIFEST), hq.pin, MANIFEST + b"!")


def test_another_site_is_unknown(hq: Site, other: Site) -> None:
    with pytest.raises(ExporterUnknown, match=other.pin.root.hex()):
        check(other.voucher.vouch(MANIFEST), hq.pin)


def test_a_known_root_before_a_strangers_vouches_for_nothing(hq: Site, other: Site) -> None:
    mine, theirs = hq.voucher.vouch(MANIFEST), other.voucher.vouch(MANIFEST)
    forged = msgspec.structs.replace(theirs, roots=(*mine.roots, *theirs.roots))

    with pytest.raises(CatalogFileNotSigned, match="do not follow"):
        check(forged, hq.pin)


def test_a_known_root_over_a_strangers_targets_vouches_for_nothing(hq: Site, other: Site) -> None:
    forged = msgspec.structs.replace(
        other.voucher.vouch(MANIFEST), roots=hq.voucher.vouch(MANIFEST).roots
    )

    with pytest.raises(CatalogFileNotSigned, match="targets are not signed"):
        check(forged, hq.pin)


def test_a_signature_by_another_role_counts_for_nothing(hq: Site, tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path / "hq/keys")
    [signer] = keys.signers("timestamp", keys.key_ids("timestamp"))
    said = signer.sign(b"patchtide-catalog-file-1\0" + MANIFEST)
    forged = msgspec.structs.replace(
        hq.voucher.vouch(MANIFEST),
        signatures=(SignatureV1(said.keyid, bytes.fromhex(said.signature)),),
    )

    with pytest.raises(CatalogFileNotSigned, match="0 of 1"):
        check(forged, hq.pin)


def test_one_signature_twice_is_one(hq: Site) -> None:
    key = hq.repository.make_key("feeds")
    drafts = hq.repository.draft_threshold("feeds", [key], 2, START)
    hq.repository.accept(hq.repository.signed_here(drafts), START)
    whole = hq.voucher.vouch(MANIFEST)
    twice = msgspec.structs.replace(whole, signatures=(whole.signatures[0],) * 2)

    assert len(whole.signatures) == 2 and check(whole, hq.pin)
    with pytest.raises(CatalogFileNotSigned, match="1 of 2"):
        check(twice, hq.pin)


def test_rotations_are_followed_and_never_back(hq: Site) -> None:
    before = hq.voucher.vouch(MANIFEST)
    hq.rotate("root", "feeds")
    after = check(hq.voucher.vouch(MANIFEST), hq.pin)

    assert after == Pin(root=hq.voucher.root_digest(), targets=2)
    with pytest.raises(ExporterUnknown):
        check(before, after)


def test_targets_that_still_name_a_revoked_key_are_refused(hq: Site) -> None:
    before = hq.voucher.vouch(MANIFEST)
    hq.rotate("feeds")
    after = check(hq.voucher.vouch(MANIFEST), hq.pin)

    with pytest.raises(CatalogFileNotSigned, match="older than those"):
        check(before, after)


def test_metadata_that_ended_vouches_for_nothing(hq: Site) -> None:
    with pytest.raises(CatalogFileNotSigned, match="root ended"):
        verified(
            hq.voucher.vouch(MANIFEST),
            MANIFEST,
            pins={"hq": hq.pin},
            now=START + timedelta(days=366),
        )


@pytest.mark.parametrize("root", [b"", b"{}", b"[" * 5000, b'{"signed": 1, "signatures": []}'])
def test_roots_that_are_none_are_refused(hq: Site, root: bytes) -> None:
    forged = msgspec.structs.replace(hq.voucher.vouch(MANIFEST), roots=(root,))

    with pytest.raises(CatalogFileDamaged):
        check(forged, Pin(root=sha256(root).digest()))
