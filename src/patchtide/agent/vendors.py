"""Which leaves a machine has verified itself, by what their vendor signed (S01).

The site signs only which documents there are. What a package is called, what it hashes to and how
long it is has to stand in a list that the vendor's own key vouches for; the machine brings the key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from patchtide.agent.ports.content import Blobs
from patchtide.agent.ports.trust import TargetAbsent, Trust
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.updates import Verification
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


class VendorKeys(Protocol):
    """What the machine verifies one kind of vendor's index with."""

    @property
    def kind(self) -> str: ...

    def wants(self, key: str) -> bool:
        """Say whether a list is of any use on this machine."""
        ...

    def packages(self, signed: bytes, lists: Mapping[str, bytes]) -> Collection[SignedPackage]:
        """Return what the vendor's own signature covers.

        Raises:
            VendorRefused: it is not signed by the vendor, or a list is not the one it names.
        """
        ...


def vendor_verified(
    leaves: Iterable[Leaf], shard: str, *, trust: Trust, blobs: Blobs, keys: VendorKeys
) -> frozenset[int]:
    """Return the numbers of those leaves all of whose files the vendor itself has signed for.

    A leaf without files has nothing that could be verified. One whose index the site does not
    have, or has no more, is not verified; that is no error.

    Raises:
        VendorRefused, ContentRefused, ContentUnreachable, InvalidDocument, TrustRefused
    """
    asked = [
        leaf
        for leaf in leaves
        if leaf.files and leaf.origin.verification is Verification.VENDOR_SIGNATURE
    ]
    if not asked:
        return frozenset()
    try:
        said = trust.read_target(vendors_target_of(shard), MAX_DOCUMENT_BYTES)
    except TargetAbsent:
        return frozenset()
    known: set[SignedPackage] = set()
    for index in read_vendors(said, shard=shard).indexes:
        if index.kind == keys.kind:
            known |= set(_packages(index, blobs, keys))
    return frozenset(leaf.number for leaf in asked if _files(leaf) <= known)


def _packages(index: VendorIndexV1, blobs: Blobs, keys: VendorKeys) -> Collection[SignedPackage]:
    lists = {each.key: _read(each.packed, blobs) for each in index.lists if keys.wants(each.key)}
    if not lists:
        return ()
    if index.signed.open_bytes > MAX_SIGNED_BYTES:
        raise VendorRefused(f"{index.name} is larger than any such index")
    return keys.packages(_read(index.signed, blobs), lists)


def _read(packed: PackedV1, blobs: Blobs) -> bytes:
    return unpack_index(blobs.read(packed.sha256, at_most=packed.size_bytes), packed)


def _files(leaf: Leaf) -> set[SignedPackage]:
    return {SignedPackage(f.name, f.version, f.sha256, f.size_bytes) for f in leaf.files}
