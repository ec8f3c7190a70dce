"""What vendors signed themselves, as another site's file carries it, for machines to verify by.

Nothing is verified of it here but that it is what that site named: machines have the vendors' keys.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from patchtide.adapters.feeds.errors import FeedDamaged
from patchtide.domain.errors import InvalidDocument
from patchtide.server.ports.feed import VendorFile, VendorIndex
from patchtide.wire.catalog_file import ManifestV1, read_head, told_in
from patchtide.wire.messages import decode
from patchtide.wire.vendor_indexes import (
    MAX_DOCUMENT_BYTES,
    PackedV1,
    VendorIndexesV1,
    VendorIndexV1,
    unpack_index,
)


@dataclass(frozen=True, slots=True)
class _Carried:
    """Where in the file each document lies that a vendor signed."""

    path: Path
    places: Mapping[bytes, tuple[int, int]]


def vendors_in(
    path: Path, manifest: ManifestV1, shards: Collection[str]
) -> dict[str, tuple[VendorIndex, ...]]:
    """Return what the file carries for machines of these shards.

    Raises:
        FeedDamaged: it is not what its manifest says.
    """
    carried = _Carried(path, _places(path, manifest))
    found: dict[str, tuple[VendorIndex, ...]] = {}
    for part in told_in(manifest):
        if part.kind == "vendors" and part.size_bytes <= MAX_DOCUMENT_BYTES:
            try:
                said = decode(_bytes_of(carried, part.sha256), VendorIndexesV1)
                if said.shard in shards:
                    found[said.shard] = tuple(_index(carried, each) for each in said.indexes)
            except InvalidDocument as error:
                raise FeedDamaged(f"{path.name}: {error}") from error
    return found


def _places(path: Path, manifest: ManifestV1) -> dict[bytes, tuple[int, int]]:
    found: dict[bytes, tuple[int, int]] = {}
    with path.open("rb") as file:
        read_head(file.read)
        offset = file.tell()
    for part in told_in(manifest):
        found[part.sha256] = (offset, part.size_bytes)
        offset += part.size_bytes
    return found


def _index(carried: _Carried, said: VendorIndexV1) -> VendorIndex:
    return VendorIndex(
        kind=said.kind,
        name=said.name,
        signed=_file(carried, "InRelease", said.signed),
        lists=tuple(_file(carried, each.key, each.packed) for each in said.lists),
    )


def _file(carried: _Carried, key: str, packed: PackedV1) -> VendorFile:
    read = partial(_opened, carried, packed)
    return VendorFile(key=key, sha256=sha256(read()).digest(), read=read)


def _opened(carried: _Carried, packed: PackedV1) -> bytes:
    return unpack_index(_bytes_of(carried, packed.sha256), packed)


def _bytes_of(carried: _Carried, digest: bytes) -> bytes:
    offset, size = carried.places.get(digest, (0, 0))
    with carried.path.open("rb") as file:
        file.seek(offset)
        data = file.read(size)
    # Its digest comes first: what was not signed is not even unpacked (S24).
    if sha256(data).digest() != digest:
        raise FeedDamaged(f"{carried.path.name}: a document of a vendor is not what was signed")
    return data
