"""Sets of update numbers on the wire: sorted varint gaps, under zstd where they travel.

The uncompressed form is canonical (two equal sets are equal bytes), so its SHA-256 is the
digest both ends compare. Roaring bitmaps never leave the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import zstandard

from patchtide.domain.errors import InvalidDocument, Problem

MAX_NUMBER = 2**32 - 1
MAX_SET_BYTES = 1 << 20
_MAX_PACKED = MAX_SET_BYTES
_WINDOW_LIMIT = 1 << 20


def encode_set(numbers: Iterable[int]) -> bytes:
    """Return the canonical form: the gaps between sorted numbers as LEB128 varints."""
    out = bytearray()
    previous = -1
    for number in sorted(set(numbers)):
        if not 0 <= number <= MAX_NUMBER:
            raise ValueError(f"an update number is 0 to {MAX_NUMBER}, not {number}")
        gap = number - previous - 1
        previous = number
        while gap > 0x7F:
            out.append(gap & 0x7F | 0x80)
            gap >>= 7
        out.append(gap)
    return bytes(out)


def decode_set(data: bytes) -> list[int]:
    """Return the sorted numbers.

    Raises:
        InvalidDocument: the bytes are no canonical set.
    """
    numbers: list[int] = []
    number, gap, shift = -1, 0, 0
    for byte in data:
        if byte > 0x7F:
            gap |= (byte & 0x7F) << shift
            shift += 7
            if shift > 28:
                raise InvalidDocument([Problem("set", "a gap of more than 32 bits")])
            continue
        if byte == 0 and shift:
            raise InvalidDocument([Problem("set", "a gap that is not in its shortest form")])
        number += (gap | byte << shift) + 1
        gap = shift = 0
        numbers.append(number)
    if shift:
        raise InvalidDocument([Problem("set", "ends in the middle of a number")])
    if number > MAX_NUMBER:
        raise InvalidDocument([Problem("set", "a number of more than 32 bits")])
    return numbers


def pack(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3, write_content_size=True).compress(data)


def unpack(packed: bytes, *, limit: int = MAX_SET_BYTES) -> bytes:
    """Undo `pack`, never producing more than `limit` bytes.

    Raises:
        InvalidDocument: not one complete zstd frame, or a frame of more than `limit` bytes.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=max(_WINDOW_LIMIT, limit))
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= limit:
            raise InvalidDocument([Problem("set", f"declares {size} bytes, at most {limit}")])
        data = decompressor.decompress(packed, max_output_size=limit, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise InvalidDocument(
            [Problem("set", f"is not compressed as expected: {error}")]
        ) from error
    return data


def state_digest(*, lineage: bytes, required: bytes, installed: bytes, unknown: bytes) -> bytes:
    """Return the digest of a client's whole state; the sets are in canonical form."""
    digest = sha256(b"patchtide-state-1\0" + lineage)
    for part in (required, installed, unknown):
        digest.update(len(part).to_bytes(4) + part)
    return digest.digest()
