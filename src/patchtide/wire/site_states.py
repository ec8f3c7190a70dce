"""What a site tells its parent of its machines: containers of the index, as far as they changed.

A container holds those machines of one block of numbers that stand in one place of the index: that
require a leaf, that evaluated a serial of a shard. Blocks are granted to sites, so containers of
several never overlap, and a parent's index is nothing but all of them side by side. Sets travel in
their canonical form, so equal containers are equal bytes, and no decoder of bitmaps ever sees what
another site sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from msgspec import Meta, Struct

from patchtide.domain.errors import InvalidDocument, Problem, Refused
from patchtide.wire.leaves import Number
from patchtide.wire.messages import Serial, Text, Uuid, decode, encode
from patchtide.wire.sets import decode_set

SIGNED_AS = b"patchtide-site-states-1\0"
SIGNATURE = 64
MAX_BYTES = 256 << 20
BLOCK = 65_536
Kind = Literal["required", "installed", "unknown", "evaluated", "member", "believed"]


class SiteNotSigned(Refused):
    """What came is not signed by the site that it says it is of."""

    code = "site-not-signed"


class ContainerV1(Struct, frozen=True, array_like=True):
    kind: Kind
    shard: Text
    """Of a serial that was evaluated; empty otherwise."""
    number: Serial
    """The leaf's, or the serial, which is the parent's own; of members 0."""
    block: Number
    """Where the block of machines begins."""
    machines: Annotated[bytes, Meta(max_length=2 * BLOCK)]
    """Their places in the block, as `wire.sets` has them; none: the container is empty now."""


class SiteStatesV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="sitestates1"):
    site: Text
    lineage: Uuid
    epoch: Text
    """Another one after the site's database was put back; then everything is told anew."""
    sequence: Annotated[int, Meta(ge=1, lt=2**53)]
    """Rises by one with each of an epoch; the first one is whole."""
    containers: tuple[ContainerV1, ...]


def pack_states(states: SiteStatesV1, sign: Callable[[bytes], bytes]) -> bytes:
    document = encode(states)
    return sign(SIGNED_AS + document) + document


def read_states(data: bytes, verify: Callable[[bytes, bytes], bool]) -> SiteStatesV1:
    """Return what a site tells; nothing of it is read before its signature is.

    Raises:
        SiteNotSigned
        InvalidDocument: it is no such document.
    """
    if len(data) > MAX_BYTES:
        raise InvalidDocument([Problem("states", f"more than {MAX_BYTES} bytes")])
    signature, document = data[:SIGNATURE], data[SIGNATURE:]
    if not verify(signature, SIGNED_AS + document):
        raise SiteNotSigned
    return decode(document, SiteStatesV1)


def machines_of(container: ContainerV1) -> list[int]:
    """Return the numbers of its machines.

    Raises:
        InvalidDocument: it names machines beyond its block, or its block begins nowhere.
    """
    places = decode_set(container.machines)
    if container.block % BLOCK or (places and places[-1] >= BLOCK):
        raise InvalidDocument([Problem("states", "a container leaves its block")])
    return [container.block + place for place in places]
