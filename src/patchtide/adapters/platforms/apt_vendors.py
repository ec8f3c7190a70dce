"""A Debian or Ubuntu machine's own word on what its vendor signed: its keys, its tool.

The keys are those that came with the distribution, not what a source names: whoever may write a
source is not who vouches for the operating system.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from patchtide.adapters.platforms import commands
from patchtide.adapters.platforms.gpgv import Signed, signed_message
from patchtide.agent.vendors import SignedLists, SignedPackage, VendorRefused, VendorSignature
from patchtide.wire.vendor_indexes import APT
from patchtide.wire.vendor_signatures import Run

_HASH = re.compile(r"^ ([0-9a-f]{64})\s+(\d{1,12})\s+(\S+)$", re.MULTILINE)
_SECTION = re.compile(r"^SHA256:[ \t]*\n((?: .*\n?)+)", re.MULTILINE)
_FIELD = re.compile(r"^(Package|Version|SHA256|Size): *(\S+)[ \t]*$", re.MULTILINE)
_ABOUT = re.compile(r"^(Label|Origin|Suite|Date): *([ -~]{1,80}?)[ \t]*$", re.MULTILINE)


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

    def read(self, signed: bytes, lists: Mapping[str, bytes]) -> SignedLists:
        """Raises VendorRefused."""
        found = self._signed(signed)
        named = _hashes(found.text)
        for key, data in lists.items():
            if named.get(key) != (sha256(data).hexdigest(), len(data)):
                raise VendorRefused(f"{key} is not the list that the vendor's index names")
        return SignedLists(_signature(found), _packages(lists.values()))

    def _signed(self, document: bytes) -> Signed:
        keyrings = [ring for ring in self._keyrings if ring.is_file()]
        if not keyrings:
            raise VendorRefused(f"{self._keyrings[0]}: the vendor's keys are not on this machine")
        return signed_message(document, keyrings, run=self._run)


def _signature(found: Signed) -> VendorSignature:
    head = found.text.partition("\nSHA256:")[0]
    said = dict(_ABOUT.findall(head))
    index = f"{said.get('Label') or said.get('Origin', '')} {said.get('Suite', '')}".strip()
    return VendorSignature(index=index, dated=said.get("Date", ""), keys=found.keys)


def _hashes(text: str) -> Mapping[str, tuple[str, int]]:
    sections = _SECTION.findall(text)
    if len(sections) != 1:
        raise VendorRefused("the vendor's index names no lists by SHA-256, or does so twice")
    return {key: (digest, int(size)) for digest, size, key in _HASH.findall(sections[0])}


def _packages(lists: Iterable[bytes]) -> Iterator[SignedPackage]:
    for stanza in (s for data in lists for s in data.decode("utf-8", "replace").split("\n\n")):
        said = dict(_FIELD.findall(stanza))
        if len(said) == len(("Package", "Version", "SHA256", "Size")):
            yield SignedPackage(
                said["Package"], said["Version"], bytes.fromhex(said["SHA256"]), int(said["Size"])
            )
