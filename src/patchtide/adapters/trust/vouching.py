"""Who vouches for an exported catalog: this site's feeds role, known by a root that was pinned.

The file carries all roots of its site, so that whoever pinned one of them is led to the newest,
each signed by the one before; the newest says who signs the targets, and these say who signs for
feeds. What is signed begins with words of its own: no metadata is ever taken for a manifest, nor a
manifest for metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Signature
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from patchtide.adapters.trust.drafts import delegate_of
from patchtide.adapters.trust.keys import KeyFolder, KeysElsewhere
from patchtide.adapters.trust.layout import FEEDS, ROOT, TARGETS, Signable, to_bytes
from patchtide.adapters.trust.published import PublishedFiles
from patchtide.server.ports.catalog_files import CatalogFileNotSigned, ExporterUnknown, Pin
from patchtide.wire.catalog_file import SIGNED_AS, CatalogFileDamaged, SignatureV1, VoucherV1


class Voucher:
    """Over the signed repository in that folder, with what keys of its roles lie here."""

    def __init__(self, folder: Path, keys: KeyFolder) -> None:
        self._files = PublishedFiles(folder)
        self._keys = keys

    def root_digest(self) -> bytes:
        return sha256(self._files.root()[1]).digest()

    def vouch(self, manifest: bytes) -> VoucherV1:
        """Raises KeysElsewhere: not as many keys of the feeds role are here as have to sign."""
        with self._files.locked():
            state = self._files.current()
            delegate = delegate_of(state, FEEDS)
            signers = self._keys.signers(FEEDS, delegate.keyids)
            if len(signers) < delegate.threshold:
                raise KeysElsewhere(f"the keys of {FEEDS} are not all on this server")
            signed = [signer.sign(SIGNED_AS + manifest) for signer in signers]
            return VoucherV1(
                roots=tuple(self._files.roots()),
                targets=to_bytes(state[TARGETS]),
                signatures=tuple(
                    SignatureV1(one.keyid, bytes.fromhex(one.signature)) for one in signed
                ),
            )

    def verified(
        self, voucher: VoucherV1, manifest: bytes, *, pins: Mapping[str, Pin], now: datetime
    ) -> tuple[str, Pin]:
        return verified(voucher, manifest, pins=pins, now=now)


def verified(
    voucher: VoucherV1, manifest: bytes, *, pins: Mapping[str, Pin], now: datetime
) -> tuple[str, Pin]:
    """Return by whose pin the manifest holds, and that pin as it has to be from now on.

    Raises:
        ExporterUnknown, CatalogFileNotSigned
        CatalogFileDamaged: what leads to its signatures cannot be read.
    """
    digests = [sha256(root).digest() for root in voucher.roots]
    name = next((name for name, pin in pins.items() if pin.root in digests), None)
    if name is None:
        newest = digests[-1].hex() if digests else "that it does not have"
        raise ExporterUnknown(
            f"it is signed under the root {newest}, which nobody here has pinned, or by an older"
            " one than was seen before; compare it at the site that made the file, then:"
            " patchtide catalog trust-exporter"
        )
    pin = pins[name]
    root = _newest(voucher.roots[digests.index(pin.root) :], now)
    targets = _targets(voucher.targets, root, least=pin.targets, now=now)
    _require_signed(targets.signed, voucher.signatures, SIGNED_AS + manifest)
    return name, Pin(root=digests[-1], targets=targets.signed.version)


def _newest(roots: Sequence[bytes], now: datetime) -> Metadata[Root]:
    """Return the last root; each one after the first is signed by the one before and by itself."""
    try:
        chain = [Metadata[Root].from_bytes(data) for data in roots]
        for before, after in pairwise(chain):
            for delegator in (before, after):
                delegator.signed.verify_delegate(ROOT, after.signed_bytes, after.signatures)
            if after.signed.version != before.signed.version + 1:
                raise CatalogFileNotSigned("its roots do not follow each other")
        newest = chain[-1]
    except DeserializationError as error:
        raise CatalogFileDamaged("its roots cannot be read") from error
    except (RepositoryError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise CatalogFileNotSigned(f"its roots do not follow each other: {error}") from error
    _require_alive(newest, "root", now)
    return newest


def _targets(data: bytes, root: Metadata[Root], *, least: int, now: datetime) -> Metadata[Targets]:
    try:
        targets = Metadata[Targets].from_bytes(data)
        root.signed.verify_delegate(TARGETS, targets.signed_bytes, targets.signatures)
    except DeserializationError as error:
        raise CatalogFileDamaged("its targets cannot be read") from error
    except (RepositoryError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise CatalogFileNotSigned(f"its targets are not signed by its root: {error}") from error
    if targets.signed.version < least:
        raise CatalogFileNotSigned("its targets are older than those that were seen before")
    _require_alive(targets, "targets", now)
    return targets


def _require_signed(targets: Targets, signatures: Sequence[SignatureV1], signed: bytes) -> None:
    try:
        delegate = targets.get_delegated_role(FEEDS)
    except ValueError as error:
        raise CatalogFileNotSigned("its targets name nobody who signs for feeds") from error
    good = set()
    for one in signatures:
        if one.key_id in delegate.keyids:
            try:
                key = targets.get_key(one.key_id)
                key.verify_signature(Signature(one.key_id, one.signature.hex()), signed)
            except UnverifiedSignatureError as error:
                raise CatalogFileNotSigned("one of its signatures is wrong") from error
            good.add(one.key_id)
    if len(good) < delegate.threshold:
        raise CatalogFileNotSigned(f"{len(good)} of {delegate.threshold} signatures are there")


def _require_alive(metadata: Signable, role: str, now: datetime) -> None:
    if metadata.signed.expires <= now:
        raise CatalogFileNotSigned(
            f"its {role} ended on {metadata.signed.expires:%Y-%m-%d}; have that site renew it and"
            " export again"
        )
