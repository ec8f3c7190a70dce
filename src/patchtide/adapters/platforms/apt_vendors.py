"""A Debian or Ubuntu machine's own word on what its vendor signed: its keys, its tool.

The keys are those that came with the distribution, not what a source names: whoever may write a
source is not who vouches for the operating system.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from patchtide.adapters.platforms import commands
from patchtide.adapters.platforms.commands import Run
from patchtide.agent.vendors import SignedPackage, VendorRefused
from patchtide.wire.vendor_indexes import APT, MAX_SIGNED_BYTES

GPGV = "/usr/bin/gpgv"
_TIMEOUT_S = 60.0
_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_HASH = re.compile(r"^ ([0-9a-f]{64})\s+(\d{1,12})\s+(\S+)$", re.MULTILINE)
_SECTION = re.compile(r"^SHA256:[ \t]*\n((?: .*\n?)+)", re.MULTILINE)
_FIELD = re.compile(r"^(Package|Version|SHA256|Size): *(\S+)[ \t]*$", re.MULTILINE)
_BAD = ("BADSIG", "ERRSIG", "REVKEYSIG")


class AptVendors:
    """Verifies with the keyrings under `root`; `architecture` is dpkg's name of the machine's."""

    kind = APT

    def __init__(
        self, os_id: str, architecture: str, *, root: Path = Path("/"), run: Run = commands.run
    ) -> None:
        names = (f"{os_id}-archive-keyring{ending}" for ending in (".gpg", ".pgp"))
        self._keyrings = [root / "usr/share/keyrings" / name for name in names]
        self._architecture = architecture
        self._run = run

    def wants(self, key: str) -> bool:
        folder = key.rpartition("/")[0]
        return folder.endswith((f"binary-{self._architecture}", "binary-all"))

    def packages(self, signed: bytes, lists: Mapping[str, bytes]) -> Collection[SignedPackage]:
        """Raises VendorRefused."""
        named = _hashes(self._signed_text(signed))
        for key, data in lists.items():
            if named.get(key) != (sha256(data).hexdigest(), len(data)):
                raise VendorRefused(f"{key} is not the list that the vendor's index names")
        return {package for data in lists.values() for package in _packages(data)}

    def _signed_text(self, document: bytes) -> str:
        """Return what was signed and nothing around it."""
        keyrings = [ring for ring in self._keyrings if ring.is_file()]
        if not keyrings:
            raise VendorRefused(f"{self._keyrings[0]}: the vendor's keys are not on this machine")
        if document.count(_BEGIN) != 1 or not document.startswith(_BEGIN):
            raise VendorRefused("the vendor's index is not one signed message")
        with TemporaryDirectory(prefix="patchtide-vendor-") as name:
            path = Path(name) / "InRelease"
            path.write_bytes(document)
            ended = self._run(
                [*_gpgv(keyrings), "--output", "-", "--", str(path)],
                timeout_s=_TIMEOUT_S,
                output_limit=MAX_SIGNED_BYTES,
            )
        said = ended.errors.decode("utf-8", "replace")
        marks = {line.split()[1] for line in said.splitlines() if line.startswith("[GNUPG:] ")}
        if "GOODSIG" not in marks or marks.intersection(_BAD) or ended.truncated:
            raise VendorRefused("the vendor's index is not signed by a key of this system's vendor")
        return ended.output.decode("utf-8", "replace")


def _gpgv(keyrings: Sequence[Path]) -> list[str]:
    rings = [word for ring in keyrings for word in ("--keyring", str(ring))]
    return [GPGV, "--quiet", "--weak-digest", "SHA1", "--status-fd", "2", *rings]


def _hashes(text: str) -> Mapping[str, tuple[str, int]]:
    sections = _SECTION.findall(text)
    if len(sections) != 1:
        raise VendorRefused("the vendor's index names no lists by SHA-256, or does so twice")
    return {key: (digest, int(size)) for digest, size, key in _HASH.findall(sections[0])}


def _packages(data: bytes) -> Iterator[SignedPackage]:
    for stanza in data.decode("utf-8", "replace").split("\n\n"):
        said = dict(_FIELD.findall(stanza))
        if len(said) == len(("Package", "Version", "SHA256", "Size")):
            yield SignedPackage(
                said["Package"], said["Version"], bytes.fromhex(said["SHA256"]), int(said["Size"])
            )
