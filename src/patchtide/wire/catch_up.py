"""All that a machine will ask for after a publication, in one answer packed against what it has.

Only the way is another: the files in it are those that are published, and whoever takes them
verifies them as if each had been fetched. What a machine has (its last metadata and index) serves
as the dictionary, so an answer holds little more than signatures, digests and what is new. The
machine says by a tag which bytes it has; who has others is told nothing and fetches file by file.

A delta travels unpacked, since it packs better beside the rest, and is packed again at its end.
That yields the published bytes or, with another build of zstd, others: those have another digest,
so nobody asks for them and the delta is fetched.

    signature   64 bytes, of the key that signs a site's answers, over all that follows
    frame       zstd, of a CatchUpV1 in MessagePack
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

import zstandard
from msgspec import Meta, Struct

from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.wire.messages import Text, decode, encode
from patchtide.wire.sets import unpack
from patchtide.wire.shard_plan import FEEDS, role_of
from patchtide.wire.shards import pack_body

MAX_SHARDS = 16
SIGNATURE = 64
MAX_CATCH_UP = 256 << 10
"""Of an answer, packed; what is larger is better fetched file by file, where it can resume."""
MAX_UNPACKED = 1 << 20
MAX_FILES = 256
_TAG = 8
"""Hex digits: enough to tell apart what machines of a site have."""
_PATH = re.compile(
    r"(?P<root>[1-9][0-9]{0,8})\.(?P<snapshot>[1-9][0-9]{0,8})\.(?P<tag>[0-9a-f]{8})"
    r"\.(?P<shards>[a-z0-9][a-z0-9.+-]{0,1023})"
)
_LIKE_A_DELTA = (
    b"\x88\xa1t\xa6delta1\xa7lineage\xc4\x10\xa5shard\xa9debian-12\xabfrom_serial\x01\xa9to_serial"
    b"\x02\xa6digest\xc4 \xa5drops\x90\xa7upserts\x91\x93\xcd\x01\x01\x01\x87\xa6update\xc4\x10"
    b"\x88\xa6update\xc4\x10\xacprerequisite\x93\xa3and\x93\xa2os\xa6debian\x91\xa212\x92\xa4arch"
    b"\x91\xa5amd64\xaaapplicable\x93\xa2or\x93\xa3pkg\xa3deb\xa6lib\x93\xa3pkg\xa3deb\xa8-common"
    b"\xa9installed\x92\xa3not\x93\xa2or\x95\xa3pkg\xa3deb\xa6python3-\xa1<\xab-1+deb12u1"
    b"\x95\xa3pkg\xa3deb\xa4-dev\xa1<\xa2:1\xa9~deb12u1\xa6origin\xb4feed:debian-security\xa5title"
    b"\xa9-dfsg-1+deb12u1\xa5files\x91\x94\xa6lib\xaf-0+deb12u1\xc4 \xa6floors\x92\xa3-doc"
    b"\xa7restart\xa5maybe\xa6always"
)
"""What nearly every delta has, so that the first one need not spell it out."""


class CarriedV1(Struct, frozen=True, array_like=True):
    body: Annotated[bytes, Meta(max_length=MAX_UNPACKED)]
    name: Text = ""
    """Of metadata; what is named by its digest needs no other name."""
    to_pack: bool = False


class CatchUpV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="catchup1"):
    files: Annotated[tuple[CarriedV1, ...], Meta(max_length=MAX_FILES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a machine has: the versions, and the bytes that both sides pack against."""

    root: int
    snapshot: int
    documents: Sequence[bytes]
    """Root, snapshot, a role's metadata for each role of the shards, an index for each shard."""

    def dictionary(self) -> bytes:
        return b"".join((_LIKE_A_DELTA, *self.documents))

    def tag(self) -> str:
        return sha256(self.dictionary()).hexdigest()[:_TAG]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a machine says that it has, and for which shards it asks."""

    root: int
    snapshot: int
    tag: str
    shards: tuple[str, ...]


def address_of(known: Known, shards: Iterable[str]) -> str:
    """Return by what name the answer is asked for; equal machines ask for the same one."""
    return f"{known.root}.{known.snapshot}.{known.tag()}.{'+'.join(sorted(shards))}"


def read_address(name: str) -> Asked | None:
    """Return what is asked for; None: that is no such name, or no machine's.

    A machine follows its own release and what people publish, so one feed's shard is all there is
    to it: of many, anybody could make up more sets than there are answers worth making.
    """
    match = _PATH.fullmatch(name)
    if match is None:
        return None
    shards = tuple(match["shards"].split("+"))
    if len(shards) > MAX_SHARDS or list(shards) != sorted({*shards} - {""}):
        return None
    if sum(role_of(shard) == FEEDS for shard in shards) > 1:
        return None
    return Asked(
        root=int(match["root"]),
        snapshot=int(match["snapshot"]),
        tag=match["tag"],
        shards=shards,
    )


def carried_delta(packed: bytes) -> CarriedV1:
    """Return a delta as it travels best: unpacked, if packing it again yields the same bytes."""
    body = unpack(packed, limit=MAX_UNPACKED, what="delta")
    again = pack_body(body) == packed
    return CarriedV1(body=body if again else packed, to_pack=again)


def pack_catch_up(document: CatchUpV1, known: Known) -> bytes | None:
    """Return the frame; None: there is more in it than anybody takes."""
    body = encode(document)
    if len(body) > MAX_UNPACKED or len(document.files) > MAX_FILES:
        return None
    compressor = zstandard.ZstdCompressor(
        level=19, dict_data=_dictionary(known), write_checksum=True, write_dict_id=False
    )
    return compressor.compress(body)


def signed_bytes(address: str, packed: bytes) -> bytes:
    """Return what is signed of an answer: it, and to what it is one."""
    return b"patchtide-catch-up-1\0" + address.encode() + b"\0" + packed


def read_catch_up(packed: bytes, known: Known) -> dict[str, bytes]:
    """Return the files by what they are asked for: a name of metadata, or a digest in hex.

    The frame's signature was verified before, and the files are yet to be.

    Raises:
        InvalidDocument: it is no such answer, or not to one who knows this.
    """
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= MAX_UNPACKED:
            raise InvalidDocument([Problem("catch-up", f"declares {size} bytes")])
        body = zstandard.ZstdDecompressor(
            dict_data=_dictionary(known), max_window_size=8 << 20
        ).decompress(packed, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise InvalidDocument([Problem("catch-up", f"is not a zstd frame: {error}")]) from error
    files = {}
    for file in decode(body, CatchUpV1).files:
        data = pack_body(file.body) if file.to_pack else file.body
        files[file.name or sha256(data).hexdigest()] = data
    return files


def _dictionary(known: Known) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(
        known.dictionary(), dict_type=zstandard.DICT_TYPE_RAWCONTENT
    )
