"""Which leaves a machine has verified itself, by what their vendor signed (S01).

The site signs only which documents there are. What a package is called, what it hashes to and how
long it is has to stand in a list that the vendor's own key vouches for; the machine brings the key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from patchtide.agent.ports.content import Blobs
from patchtide.agent.ports.trust import TargetAbsent, Trust
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.updates import UpdateNumber, Verification
from patchtide.domain.errors import Refused
from patchtide.wire.vendor_indexes import (
    MAX_DOCUMENT_BYTES,
    MAX_SIGNED_BYTES,
    PackedV1,
    VendorIndexV1,
    read_vendors,
    unpack_index,
    vendors_target_of,
)


class VendorRefused(Refused):
    """What should be a vendor's word is not."""

    code = "vendor-refused"


@dataclass(frozen=True, slots=True)
class SignedPackage:
    """A package as its vendor's list has it."""

    name: str
    version: str
    sha256: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorSignature:
    """Under what a vendor has put its name. All of it is the vendor's word, for people."""

    index: str
    dated: str
    keys: tuple[str, ...]
    """Fingerprints of the keys that signed and that this system knows."""


@dataclass(frozen=True, slots=True)
class SignedLists:
    """What follows from one signature. `packages` can be read once."""

    signature: VendorSignature
    packages: Iterable[SignedPackage]


class NotVouched(StrEnum):
    """Why there is no vendor's word for a leaf, though nobody lied."""

    NO_FILES = "no-files"
    OTHER_ROLE = "other-role"
    NO_VERIFIER = "no-verifier"
    NO_INDEX = "no-index"
    NOT_LISTED = "not-listed"


Vouched = tuple[VendorSignature, ...]
"""The signatures that together cover every file of a leaf."""


class VendorKeys(Protocol):
    """What the machine verifies one kind of vendor's index with."""

    @property
    def kind(self) -> str: ...

    def wants(self, key: str) -> bool:
        """Say whether a list is of any use on this machine."""
        ...

    def read(self, signed: bytes, lists: Mapping[str, bytes]) -> SignedLists:
        """Return what the vendor's own signature covers.

        Raises:
            VendorRefused: it is not signed by the vendor, or a list is not the one it names.
        """
        ...


class Vendors:
    """Asks the vendors' own signatures. `keys`: None on a system that verifies otherwise."""

    def __init__(self, *, trust: Trust, blobs: Blobs, keys: VendorKeys | None) -> None:
        self._trust = trust
        self._blobs = blobs
        self._keys = keys

    def verdicts(
        self, leaves: Collection[Leaf], shard: str
    ) -> Mapping[UpdateNumber, Vouched | NotVouched]:
        """Say of each leaf who has signed for it, or why nobody has.

        A leaf without files has nothing that could be verified. One whose index the site does
        not have, or has no more, is not verified; that is no error.

        Raises:
            VendorRefused, ContentRefused, ContentUnreachable, InvalidDocument, TrustRefused
        """
        reasons = {leaf.number: self._beforehand(leaf) for leaf in leaves}
        asked = {leaf.number: _files(leaf) for leaf in leaves if not reasons[leaf.number]}
        wanted = frozenset[SignedPackage]().union(*asked.values())
        indexes = self._indexes(shard) if asked else ()
        covers = [(lists.signature, wanted.intersection(lists.packages)) for lists in indexes]
        return {number: why or _verdict(asked[number], covers) for number, why in reasons.items()}

    def _beforehand(self, leaf: Leaf) -> NotVouched | None:
        if leaf.origin.verification is not Verification.VENDOR_SIGNATURE:
            return NotVouched.OTHER_ROLE
        if not leaf.files:
            return NotVouched.NO_FILES
        return NotVouched.NO_VERIFIER if self._keys is None else None

    def _indexes(self, shard: str) -> Iterator[SignedLists]:
        """Yield what is signed of the shard, every signature and every hash verified.

        One after the other: the lists of a whole distribution are more than a machine may have.
        """
        keys = self._keys
        try:
            said = self._trust.read_target(vendors_target_of(shard), MAX_DOCUMENT_BYTES)
        except TargetAbsent:
            return
        known = read_vendors(said, shard=shard).indexes
        for index in known:
            if keys is not None and index.kind == keys.kind:
                yield from self._read(index, keys)

    def _read(self, index: VendorIndexV1, keys: VendorKeys) -> Iterator[SignedLists]:
        lists = {each.key: self._blob(each.packed) for each in index.lists if keys.wants(each.key)}
        if not lists:
            return
        if index.signed.open_bytes > MAX_SIGNED_BYTES:
            raise VendorRefused(f"{index.name} is larger than any such index")
        yield keys.read(self._blob(index.signed), lists)

    def _blob(self, packed: PackedV1) -> bytes:
        return unpack_index(self._blobs.read(packed.sha256, at_most=packed.size_bytes), packed)


def _verdict(
    files: frozenset[SignedPackage],
    covers: Sequence[tuple[VendorSignature, frozenset[SignedPackage]]],
) -> Vouched | NotVouched:
    if not covers:
        return NotVouched.NO_INDEX
    if not files <= frozenset[SignedPackage]().union(*(named for _, named in covers)):
        return NotVouched.NOT_LISTED
    return tuple(signature for signature, named in covers if named & files)


def _files(leaf: Leaf) -> frozenset[SignedPackage]:
    return frozenset(SignedPackage(f.name, f.version, f.sha256, f.size_bytes) for f in leaf.files)
