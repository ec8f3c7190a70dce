"""Asks the system's own tool who signed a document; only what it says was signed is handed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from patchtide.agent.vendors import VendorRefused
from patchtide.wire.vendor_indexes import MAX_SIGNED_BYTES
from patchtide.wire.vendor_signatures import Run, Verdict, verify, without_armour

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"


@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed, and the fingerprints of the keys whose owners did."""

    data: bytes
    keys: tuple[str, ...]

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


def signed_message(document: bytes, keyrings: Sequence[Path], *, run: Run) -> Signed:
    """Return what stands inside of one signed message, and nothing around it.

    Raises:
        VendorRefused
    """
    if document.count(_BEGIN) != 1 or not document.startswith(_BEGIN):
        raise VendorRefused("the vendor's index is not one signed message")
    with TemporaryDirectory(prefix="patchtide-vendor-") as name:
        path = Path(name) / "message"
        path.write_bytes(document)
        words = ("--output", "-", "--", str(path))
        found = verify(words, map(str, keyrings), run=run, limit=MAX_SIGNED_BYTES)
    return Signed(found.output, _signers(found))


def signed_apart(document: bytes, signature: bytes, keys: Sequence[str], *, run: Run) -> Signed:
    """Return the document, whose signature lies beside it. `keys` are armoured texts.

    Raises:
        VendorRefused
    """
    keyring = b"".join(map(without_armour, keys))
    files = {"signature": signature, "document": document, "keys.gpg": keyring}
    with TemporaryDirectory(prefix="patchtide-vendor-") as name:
        paths = [str(Path(name) / each) for each in files]
        for path, data in zip(paths, files.values(), strict=True):
            Path(path).write_bytes(data)
        found = verify(("--", *paths[:2]), paths[2:], run=run, limit=MAX_SIGNED_BYTES)
    return Signed(document, _signers(found))


def _signers(found: Verdict) -> tuple[str, ...]:
    """Return who signed: at least one good signature, and none that does not fit the words."""
    if not found.good or found.truncated:
        raise VendorRefused("the vendor's index is not signed by a key of this system's vendor")
    return tuple(sorted({signature.primary for signature in found.good}))
