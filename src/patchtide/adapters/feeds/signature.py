"""Verifies a vendor's signature over an index with the platform's own tool.

Only what the tool says was signed is ever read (S24): whatever stands before, behind or between
is not in what it hands back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from patchtide.adapters.feeds.errors import FeedDamaged, FeedNotSigned
from patchtide.wire.vendor_signatures import ARMOUR, Run, Verdict, verify, without_armour

MAX_RELEASE_BYTES = 16 << 20
_BEGIN = re.compile(rb"^-----BEGIN PGP SIGNED MESSAGE-----", re.MULTILINE)
_FINGERPRINT = re.compile(r"(?:[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})!?")


@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed, and the primary keys of those who did."""

    text: str
    keys: frozenset[str]


def is_signed(file: Path) -> bool:
    """Say whether there is anything to be verified: a suite's InRelease, or the pair beside it."""
    return file.is_file() or all(part.is_file() for part in _pair(file))


def signed_text(
    file: Path, signed_by: Sequence[str], *, trusted: Iterable[Path], run: Run
) -> Signed:
    """Return what the keys have signed. `signed_by` is as the source has it; empty: `trusted`.

    `file` is the suite's InRelease; where that is missing, `Release` and `Release.gpg` beside it
    count as much, as they do for apt.

    Raises:
        FeedNotSigned: none of the keys has signed it.
        FeedDamaged: it was signed, and changed since.
    """
    fingerprints = {s.rstrip("!").upper() for s in signed_by if _FINGERPRINT.fullmatch(s)}
    named = [s for s in signed_by if not _FINGERPRINT.fullmatch(s)]
    with TemporaryDirectory(prefix="patchtide-keys-") as name:
        folder = Path(name)
        keyrings = _keyrings(named, folder) if named else _keyrings(map(str, trusted), folder)
        if not keyrings:
            raise FeedNotSigned(f"{file.name}: no key is at hand to verify it with")
        words, apart = _message(file, folder)
        found = verify(words, keyrings, run=run, limit=MAX_RELEASE_BYTES)
    keys = _signers(found, fingerprints, name=file.name)
    text = found.output if apart is None else apart
    if found.truncated or len(text) > MAX_RELEASE_BYTES:
        raise FeedDamaged(f"{file.name} is larger than any Release file")
    return Signed(text.decode("utf-8", "replace"), keys)


def require_signed(
    document: bytes, signature: bytes, signed_by: Sequence[str], *, name: str, run: Run
) -> None:
    """Verify a signature that lies beside its document. `signed_by` are keyrings, or their text.

    Raises:
        FeedNotSigned: none of the keys has signed it.
        FeedDamaged: it was signed, and changed since.
    """
    with TemporaryDirectory(prefix="patchtide-keys-") as path:
        folder = Path(path)
        keyrings = _keyrings(signed_by, folder)
        if not keyrings:
            raise FeedNotSigned(f"{name}: no key is at hand to verify it with")
        (folder / "signature").write_bytes(signature)
        (folder / "document").write_bytes(document)
        words = ["--", str(folder / "signature"), str(folder / "document")]
        found = verify(words, keyrings, run=run, limit=MAX_RELEASE_BYTES)
    _signers(found, set(), name=name)


def _message(file: Path, folder: Path) -> tuple[list[str], bytes | None]:
    """Return what to ask the tool, and the text when the signature lies beside it."""
    try:
        if file.is_file():
            _one_message(file)
            return ["--output", "-", "--", str(file)], None
        release, signature = _pair(file)
        text, copy = release.read_bytes(), folder / "Release"
        copy.write_bytes(text)  # so that what is verified is what is read
        return ["--", str(signature), str(copy)], text
    except OSError as error:
        raise FeedNotSigned(f"{file.name} cannot be read: {error.strerror}") from error


def _pair(file: Path) -> tuple[Path, Path]:
    release = file.name.removesuffix("InRelease") + "Release"
    return file.with_name(release), file.with_name(f"{release}.gpg")


def _one_message(file: Path) -> None:
    if [match.start() for match in _BEGIN.finditer(file.read_bytes())] != [0]:
        raise FeedNotSigned(f"{file.name} is not one signed message")


def _keyrings(named: Iterable[str], folder: Path) -> list[str]:
    rings = (_keyring(name, folder / f"{number}.gpg") for number, name in enumerate(named))
    return [str(ring) for ring in rings if ring is not None]


def _keyring(name: str, copy: Path) -> Path | None:
    """Return a keyring the tool can read; armour is taken off, and a missing one is none."""
    if name.startswith(ARMOUR):
        return _opened(name, copy)
    path = Path(name)
    if not path.is_file():
        return None
    if path.suffix != ".asc":
        return path.absolute()
    return _opened(path.read_text("ascii", "replace"), copy)


def _opened(text: str, copy: Path) -> Path | None:
    keys = without_armour(text)
    copy.write_bytes(keys)
    return copy if keys else None


def _signers(found: Verdict, fingerprints: set[str], *, name: str) -> frozenset[str]:
    """Return who signed: accepted when one good signature is by a key that may, and none is bad."""
    if found.is_changed:
        raise FeedDamaged(f"{name} was changed after it was signed")
    good = frozenset(
        signature.primary
        for signature in found.good
        if not fingerprints or {signature.key, signature.primary} & fingerprints
    )
    if good:
        return good
    unknown = ", ".join(found.unknown)
    why = f"signed by unknown keys: {unknown}" if unknown else "no valid signature"
    raise FeedNotSigned(f"{name}: {why}")
