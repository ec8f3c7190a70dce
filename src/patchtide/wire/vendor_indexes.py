"""What vendors signed themselves, named by digest: so that a machine need not believe the site.

The document is a target beside a shard's index and is signed by the same role; that makes it no
proof of anything. The proof is in what it names: the vendor's own signed index, and the lists of
packages whose hashes stand in there, kept as content and fetched when something is to be installed.
"""

from __future__ import annotations

from typing import Annotated

import zstandard
from msgspec import Meta, Struct

from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.wire.leaves import Size
from patchtide.wire.messages import Digest, Text, Uuid, decode, encode
from patchtide.wire.sets import unpack
from patchtide.wire.shard_plan import role_of
from patchtide.wire.shards import ShardName

MAX_DOCUMENT_BYTES = 256 << 10
MAX_INDEX_BYTES = 256 << 20
"""Of a list of packages, unpacked: a whole distribution has a quarter of it."""
MAX_SIGNED_BYTES = 16 << 20
APT = "apt"
RPM = "rpm"
_LEVEL = 10


class PackedV1(Struct, frozen=True, array_like=True):
    """A file of the content: its bytes under zstd, and how many they are unpacked."""

    sha256: Digest
    size_bytes: Size
    open_bytes: Size


class VendorListV1(Struct, frozen=True, array_like=True):
    """A list of packages; `key` is what the signed index calls it."""

    key: Text
    packed: PackedV1


class VendorIndexV1(Struct, kw_only=True, frozen=True):
    """One suite: what its vendor signed, and the lists that follow from that."""

    kind: Text
    """How it is verified; what a machine does not know verifies nothing there."""
    name: Text
    """For people: a suite and where it came from."""
    signed: PackedV1
    lists: Annotated[tuple[VendorListV1, ...], Meta(max_length=100)]


class VendorIndexesV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="vendorindexes1"):
    lineage: Uuid
    shard: ShardName
    indexes: Annotated[tuple[VendorIndexV1, ...], Meta(max_length=100)]


def vendors_target_of(shard: str) -> str:
    """Return where the repository keeps the document of a shard."""
    return f"{role_of(shard)}/{shard}/vendors"


def primary_key(architecture: str) -> str:
    """Return what an RPM repository's list of packages is called here."""
    return f"{architecture}/primary.xml"


def signature_key(architecture: str) -> str:
    """Return what the signature is called that lies beside an RPM repository's index."""
    return f"{architecture}/repomd.xml.asc"


def pack_index(data: bytes) -> bytes:
    """Return the bytes as they are kept and fetched; equal bytes, equal result."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(data)


def unpack_index(data: bytes, packed: PackedV1) -> bytes:
    """Return what was packed; whoever calls has checked the digest of `data`.

    Raises:
        InvalidDocument: it is not as long as the document says, or longer than any such thing.
    """
    if packed.open_bytes > MAX_INDEX_BYTES:
        raise InvalidDocument([Problem("vendor index", f"has {packed.open_bytes} bytes")])
    found = unpack(data, limit=packed.open_bytes, what="vendor index")
    if len(found) != packed.open_bytes:
        raise InvalidDocument([Problem("vendor index", "is not as long as it was said to be")])
    return found


def encode_vendors(document: VendorIndexesV1) -> bytes:
    return encode(document)


def read_vendors(data: bytes, *, shard: str) -> VendorIndexesV1:
    """Raises InvalidDocument: it is no such document, or another shard's."""
    found = decode(data, VendorIndexesV1)
    if found.shard != shard:
        raise InvalidDocument([Problem("shard", f"{found.shard!r} is not {shard!r}")])
    return found
