"""The file that carries a whole catalog to a site without a line to the one that made it.

    magic, then two lengths of 4 bytes each, big-endian
    the voucher    who vouches for it: roots, targets, signatures (VoucherV1)
    the manifest   what is in it: the digest and the length of every part (ManifestV1)
    the parts      in the manifest's order, with nothing between them and nothing after

Nothing in it has a name but its digest, so there is no path to escape by. Each length is bounded
before anything of it is read, the manifest is signed and verified before it is read, and a part
is read only if it is what the manifest says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import Annotated, Literal, TypeVar

import zstandard
from msgspec import Meta, Struct

from patchtide.domain.errors import InvalidDocument, Refused, TooMuch
from patchtide.wire.leaves import LeafEntryV1
from patchtide.wire.messages import Digest, EpochS, Serial, Text, Uuid, decode, encode
from patchtide.wire.sets import unpack
from patchtide.wire.shards import ShardName
from patchtide.wire.spool import MAX_UPDATES, DetailsV1

M = TypeVar("M", bound=Struct)
MAGIC = b"patchtide-catalog-1\n"
SIGNED_AS = b"patchtide-catalog-file-1\0"
"""Before the manifest in what is signed: no signature of a site's metadata is ever one of these."""
LENGTHS = len(MAGIC) + 8
MAX_VOUCHER = 4 << 20
MAX_MANIFEST = 16 << 20
MAX_UPDATES_PART = 64 << 20
"""Of a part that tells of updates, unpacked; those that are written have a few of these."""
MAX_CONTENT = 1 << 40
MAX_PARTS = 200_000
AIM_BYTES = 4 << 20
"""A part is closed when it tells of so much: whoever reads it holds one at a time."""
_LEVEL = 12
_CHUNK = 1 << 20

Read = Callable[[int], bytes]
"""Returns the next bytes of the file, at most so many; none at its end."""


class CatalogFileDamaged(Refused):
    """The file is not what its site signed, or no catalog at all."""

    code = "catalog-file-damaged"


class SignatureV1(Struct, frozen=True, array_like=True):
    key_id: Text
    signature: Annotated[bytes, Meta(max_length=128)]


class VoucherV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="voucher1"):
    """Leads from a root that a site may know to the keys that sign the manifest."""

    roots: Annotated[tuple[Annotated[bytes, Meta(max_length=256 << 10)], ...], Meta(max_length=512)]
    """All versions, the oldest first."""
    targets: Annotated[bytes, Meta(max_length=1 << 20)]
    signatures: Annotated[tuple[SignatureV1, ...], Meta(max_length=64)]


class PartV1(Struct, frozen=True, array_like=True):
    kind: Literal["updates", "vendors", "vendor", "content"]
    """What is told of updates; what vendors' documents there are; one of those; a package."""
    sha256: Digest
    size_bytes: Annotated[int, Meta(ge=0, le=MAX_CONTENT)]


class ManifestV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="catalogfile1"):
    site: Text
    lineage: Uuid
    """Whose the numbers of the leaves are."""
    made_at: EpochS
    """Rises with every file of a site that tells something else."""
    serials: Annotated[dict[ShardName, Serial], Meta(max_length=1_000)]
    updates: Annotated[int, Meta(ge=0, le=MAX_UPDATES)]
    parts: Annotated[tuple[PartV1, ...], Meta(max_length=MAX_PARTS)]


class CarriedUpdateV1(Struct, frozen=True, array_like=True):
    """An update as it is in one shard."""

    details: DetailsV1 | None
    """None: nobody ever told anything of it for people."""
    leaves: Annotated[tuple[LeafEntryV1, ...], Meta(max_length=100)]


class UpdatesV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="updates1"):
    shard: ShardName
    updates: Annotated[tuple[CarriedUpdateV1, ...], Meta(max_length=MAX_UPDATES)]


def suite_of(exporter: str) -> str:
    """Return by what name it is remembered how new a site's catalog was."""
    return f"catalog of {exporter}"


def told_in(manifest: ManifestV1) -> Iterator[PartV1]:
    """Yield the parts that are read again later: all but the packages, which come last.

    Raises:
        CatalogFileDamaged: they do not.
    """
    is_over = False
    for part in manifest.parts:
        if part.kind == "content":
            is_over = True
        elif is_over:
            raise CatalogFileDamaged("its packages do not come last")
        else:
            yield part


def name_of(manifest: bytes) -> str:
    """Return what a file is called by: its manifest's digest stands for all of it."""
    return sha256(manifest).hexdigest()


def size_of(head: bytes, parts: Iterable[PartV1]) -> int:
    """Return the length of the whole file."""
    return len(head) + sum(part.size_bytes for part in parts)


def make_head(voucher: VoucherV1, manifest: bytes) -> bytes:
    """Return what comes before the parts."""
    vouched = encode(voucher)
    return b"".join((MAGIC, len(vouched).to_bytes(4), len(manifest).to_bytes(4), vouched, manifest))


def read_head(read: Read) -> tuple[VoucherV1, bytes]:
    """Return the voucher and the manifest, which is still to be verified.

    Raises:
        CatalogFileDamaged: it does not begin as such a file does, or ends within its head.
    """
    first = _exactly(read, LENGTHS)
    if not first.startswith(MAGIC):
        raise CatalogFileDamaged("this is no exported catalog")
    lengths = first[len(MAGIC) :]
    vouched, told = int.from_bytes(lengths[:4]), int.from_bytes(lengths[4:])
    if vouched > MAX_VOUCHER or told > MAX_MANIFEST:
        raise CatalogFileDamaged(f"its head says it has {vouched} and {told} bytes")
    voucher = _decoded(_exactly(read, vouched), VoucherV1)
    return voucher, _exactly(read, told)


def read_manifest(verified: bytes) -> ManifestV1:
    """Return what is in the file.

    Raises:
        CatalogFileDamaged: it is no manifest.
    """
    return _decoded(verified, ManifestV1)


def check_parts(
    read: Read, parts: Iterable[PartV1], *, heard: Callable[[int], None] = lambda size: None
) -> None:
    """Read to the end of the file; it has to be what the manifest says, to the byte.

    Raises:
        CatalogFileDamaged: with the first part that is something else.
    """
    for place, part in enumerate(parts, 1):
        digest, left = sha256(), part.size_bytes
        while left:
            chunk = read(min(left, _CHUNK))
            if not chunk:
                raise CatalogFileDamaged(f"it ends within part {place}")
            digest.update(chunk)
            left -= len(chunk)
            heard(len(chunk))
        if digest.digest() != part.sha256:
            raise CatalogFileDamaged(f"part {place} is not what was signed")
    if read(1):
        raise CatalogFileDamaged("something follows its last part")


def pack_updates(updates: UpdatesV1) -> bytes:
    """Return the part: MessagePack under zstd.

    Raises:
        TooMuch: nobody would read it, it is that large.
    """
    body = encode(updates)
    if len(body) > MAX_UPDATES_PART:
        raise TooMuch(f"{updates.shard}: one update is larger than a part may be")
    return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).compress(body)


def read_updates(packed: bytes, part: PartV1) -> UpdatesV1:
    """Return what a part tells.

    Raises:
        CatalogFileDamaged: it is not the part, or tells of no updates.
    """
    # Its digest comes first: what was not signed is not even unpacked (S24).
    if sha256(packed).digest() != part.sha256:
        raise CatalogFileDamaged("a part is not what was signed")
    try:
        body = unpack(packed, limit=MAX_UPDATES_PART, what="part")
    except InvalidDocument as error:
        raise CatalogFileDamaged(str(error)) from error
    return _decoded(body, UpdatesV1)


def _exactly(read: Read, size: int) -> bytes:
    found = read(size)
    if len(found) != size:
        raise CatalogFileDamaged("it ends within its head")
    return found


def _decoded(data: bytes, kind: type[M]) -> M:
    try:
        return decode(data, kind)
    except InvalidDocument as error:
        raise CatalogFileDamaged(str(error)) from error
