"""A system of RPM packages' own word on what its vendor signed: its keys, the tool gpgv.

The keys are those that came with the distribution. Others lie beside them, of whoever a
repository was added for; they are told apart by their names, and not asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from patchtide.adapters.platforms import commands
from patchtide.adapters.platforms.gpgv import Signed, signed_apart
from patchtide.adapters.platforms.rpm_lists import named_by_index, packages_of
from patchtide.agent.vendors import SignedLists, VendorRefused, VendorSignature
from patchtide.wire.vendor_indexes import RPM, primary_key, signature_key
from patchtide.wire.vendor_signatures import Run

_FOLDER = "etc/pki/rpm-gpg"
_OF_SUSE = "usr/lib/rpm/gnupg/keys"
_CALLED = {"rhel": "redhat", "ol": "oracle", "amzn": "amazon"}
"""What a distribution calls itself in the names of its keys, where that is not its ID."""
_MAX_KEY_BYTES = 1 << 20


class RpmVendors:
    """Verifies with the keys under `root`; `architecture` is what repositories call `$basearch`."""

    kind = RPM

    def __init__(
        self, os_id: str, architecture: str, *, root: Path = Path("/"), run: Run = commands.run
    ) -> None:
        self._os_id = os_id
        self._root = root
        self._run = run
        self._signature = signature_key(architecture)
        self._primary = primary_key(architecture)

    def wants(self, key: str) -> bool:
        return key in (self._signature, self._primary)

    def read(self, signed: bytes, lists: Mapping[str, bytes]) -> SignedLists:
        """Raises VendorRefused."""
        if lists.keys() != {self._signature, self._primary}:
            raise VendorRefused("a repository's index comes with one signature and one list")
        keys = [path.read_text("ascii", "replace") for path in self._keys()]
        if not keys:
            raise VendorRefused(f"{self._root / _FOLDER}: the vendor's keys are not there")
        found = signed_apart(signed, lists[self._signature], keys, run=self._run)
        index, primary = named_by_index(found.data), lists[self._primary]
        if (index.digest, index.size) != (sha256(primary).hexdigest(), len(primary)):
            raise VendorRefused("the list of packages is not the one that the index names")
        return SignedLists(_signature(found, index.revision, index.made_at), packages_of(primary))

    def _keys(self) -> Iterator[Path]:
        of_suse = self._os_id.startswith(("sle", "opensuse"))
        folder = self._root / (_OF_SUSE if of_suse else _FOLDER)
        beginning = f"rpm-gpg-key-{_CALLED.get(self._os_id, self._os_id)}"
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            is_own = of_suse or path.name.lower().startswith(beginning)
            if is_own and path.is_file() and path.stat().st_size <= _MAX_KEY_BYTES:
                yield path


def _signature(found: Signed, revision: str, made_at: float) -> VendorSignature:
    dated = datetime.fromtimestamp(min(max(made_at, 0.0), 2.0**33), UTC)
    return VendorSignature(
        index=f"repository revision {revision}",
        dated=f"{dated:%a, %d %b %Y %H:%M:%S} UTC",
        keys=found.keys,
    )
