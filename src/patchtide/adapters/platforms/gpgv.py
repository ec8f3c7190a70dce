"""Asks the system's own tool who signed a document; only what it says was signed is handed on."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from patchtide.adapters.platforms.commands import Run
from patchtide.agent.vendors import VendorRefused
from patchtide.wire.vendor_indexes import MAX_SIGNED_BYTES

GPGV = "/usr/bin/gpgv"
_TIMEOUT_S = 60.0
_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_STATUS = "[GNUPG:] "
_ARMOURED = re.compile(
    "-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL
)


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
        words = [*_gpgv(keyrings), "--output", "-", "--", str(path)]
        ended = run(words, timeout_s=_TIMEOUT_S, output_limit=MAX_SIGNED_BYTES)
    return Signed(ended.output, _signers(ended.errors, whole=not ended.truncated))


def signed_apart(document: bytes, signature: bytes, keys: Sequence[str], *, run: Run) -> Signed:
    """Return the document, whose signature lies beside it. `keys` are armoured texts.

    Raises:
        VendorRefused
    """
    files = {"signature": signature, "document": document, "keys.gpg": _without_armour(keys)}
    with TemporaryDirectory(prefix="patchtide-vendor-") as name:
        paths = [Path(name) / each for each in files]
        for path, data in zip(paths, files.values(), strict=True):
            path.write_bytes(data)
        words = [*_gpgv(paths[2:]), "--", *map(str, paths[:2])]
        ended = run(words, timeout_s=_TIMEOUT_S)
    return Signed(document, _signers(ended.errors, whole=True))


def _gpgv(keyrings: Iterable[Path]) -> list[str]:
    rings = [word for ring in keyrings for word in ("--keyring", str(ring))]
    return [GPGV, "--quiet", "--weak-digest", "SHA1", "--status-fd", "2", *rings]


def _signers(errors: bytes, *, whole: bool) -> tuple[str, ...]:
    """Return who signed: at least one good signature, and none that does not fit the words.

    Vendors sign with old and new keys at once, so one by an unknown key means nothing. VALIDSIG
    also comes for keys that are expired or revoked; only GOODSIG does not.
    """
    said = errors.decode("utf-8", "replace").splitlines()
    lines = [line.removeprefix(_STATUS).split() for line in said if line.startswith(_STATUS)]
    good = [line[1] for line in lines if line[:1] == ["GOODSIG"]]
    valid = [line for line in lines if line[:1] == ["VALIDSIG"]]
    keys = {line[-1] for line in valid if any(line[1].endswith(key) for key in good)}
    if not keys or not whole or any(line[:1] == ["BADSIG"] for line in lines):
        raise VendorRefused("the vendor's index is not signed by a key of this system's vendor")
    return tuple(sorted(keys))


def _without_armour(texts: Iterable[str]) -> bytes:
    """Return the keys as the tool reads them; a block that is torn is none."""
    blocks = (body for text in texts for body in _ARMOURED.findall(text.replace("\r", "")))
    return b"".join(map(_block, blocks))


def _block(body: str) -> bytes:
    # Headers end with an empty line; the last line, `=` and four letters, is a checksum.
    lines = body.partition("\n\n")[2].split("\n")
    try:
        return base64.b64decode("".join(x for x in lines if x[:1] != "="), validate=True)
    except binascii.Error:
        return b""
