"""Verifies a vendor's signature over an index with the platform's own tool.

Only what the tool says was signed is ever read (S24): whatever stands before, behind or between
is not in what it hands back.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from patchtide.adapters.feeds.apt_sources import ARMOUR
from patchtide.adapters.feeds.errors import FeedDamaged, FeedNotSigned

GPGV = "/usr/bin/gpgv"
MAX_RELEASE_BYTES = 16 << 20
_TIMEOUT_S = 60.0
_BEGIN = re.compile(rb"^-----BEGIN PGP SIGNED MESSAGE-----", re.MULTILINE)
_FINGERPRINT = re.compile(r"(?:[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})!?")
_ARMOURED = re.compile(ARMOUR + "(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)
_STATUS = "[GNUPG:] "


class Ended(Protocol):
    """How a tool ended."""

    @property
    def status(self) -> int: ...
    @property
    def output(self) -> bytes: ...
    @property
    def errors(self) -> bytes: ...
    @property
    def truncated(self) -> bool: ...


class Run(Protocol):
    """Runs one of the platform's tools; an argument list, never a shell."""

    def __call__(
        self, arguments: Sequence[str], *, timeout_s: float, output_limit: int = ...
    ) -> Ended: ...


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
        ended = run(
            [*_gpgv(keyrings), *words], timeout_s=_TIMEOUT_S, output_limit=MAX_RELEASE_BYTES
        )
    keys = _judge(ended.errors.decode("utf-8", "replace"), fingerprints, name=file.name)
    text = ended.output if apart is None else apart
    if ended.truncated or len(text) > MAX_RELEASE_BYTES:
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
        ended = run([*_gpgv(keyrings), *words], timeout_s=_TIMEOUT_S)
    _judge(ended.errors.decode("utf-8", "replace"), set(), name=name)


def _gpgv(keyrings: Iterable[Path]) -> list[str]:
    rings = [word for ring in keyrings for word in ("--keyring", str(ring))]
    return [GPGV, "--quiet", "--weak-digest", "SHA1", "--status-fd", "2", *rings]


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


def _keyrings(named: Iterable[str], folder: Path) -> list[Path]:
    return [
        ring
        for number, name in enumerate(named)
        if (ring := _keyring(name, folder / f"{number}.gpg")) is not None
    ]


def _keyring(name: str, copy: Path) -> Path | None:
    """Return a keyring the tool can read; armour is taken off, and a missing one is none."""
    if name.startswith(ARMOUR):
        return _without_armour(name, copy)
    path = Path(name)
    if not path.is_file():
        return None
    if path.suffix != ".asc":
        return path.absolute()
    return _without_armour(path.read_text("ascii", "replace"), copy)


def _without_armour(text: str, copy: Path) -> Path | None:
    """Write the key blocks of the text; no text around them matters, and one torn ends it."""
    try:
        copy.write_bytes(b"".join(map(_block, _ARMOURED.findall(text.replace("\r", "")))))
    except binascii.Error:
        return None
    return copy


def _block(body: str) -> bytes:
    # Headers end with an empty line; the last line, `=` and four letters, is a checksum.
    lines = body.partition("\n\n")[2].split("\n")
    return base64.b64decode("".join(line for line in lines if line[:1] != "="), validate=True)


def _judge(status: str, fingerprints: set[str], *, name: str) -> frozenset[str]:
    """Return who signed: accepted when one good signature is by a key that may, and none is bad.

    Vendors sign with old and new keys at once, so a signature by an unknown key means nothing.
    """
    lines = [line.removeprefix(_STATUS).split() for line in status.splitlines() if _is_said(line)]
    words = {line[0] for line in lines}
    if "BADSIG" in words:
        raise FeedDamaged(f"{name} was changed after it was signed")
    good = frozenset(line[-1] for line in lines if _is_good(line, lines, fingerprints))
    if good:
        return good
    unknown = sorted({line[1] for line in lines if line[0] == "NO_PUBKEY"})
    why = f"signed by unknown keys: {', '.join(unknown)}" if unknown else "no valid signature"
    raise FeedNotSigned(f"{name}: {why}")


def _is_said(line: str) -> bool:
    return line.startswith(_STATUS) and len(line) > len(_STATUS)


def _is_good(line: list[str], lines: Sequence[list[str]], fingerprints: set[str]) -> bool:
    """VALIDSIG also comes for keys that are expired or revoked; only GOODSIG does not."""
    if line[0] != "VALIDSIG" or len(line) < 2:
        return False
    key, primary = line[1], line[-1]
    good = any(said[0] == "GOODSIG" and key.endswith(said[1]) for said in lines if len(said) > 1)
    return good and (not fingerprints or bool({key, primary} & fingerprints))
