"""Sets of update numbers on the wire: sorted varint gaps, under zstd where they travel.

The uncompressed form is canonical (two equal sets are equal bytes), so its SHA-256 is the
digest both ends compare. Roaring bitmaps never leave the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from itertools import accumulate

import zstandard

from patchtide.domain.errors import InvalidDocument, Problem

MAX_NUMBER = 2**32 - 1
MAX_SET_BYTES = 1 << 20
# Making one costs ten times what using it does, and one may not serve two threads at once.
_compressors: list[zstandard.ZstdCompressor] = []
_decompressors: list[zstandard.ZstdDecompressor] = []
# A varint in its shortest form: at most five bytes, and no empty last one.
_RUNS = re.compile(rb"[\x00-\x7f]+|[\x80-\xff]{1,4}[\x01-\x7f]")
_STEPS = bytes(range(1, 129)) + bytes(128)
"""Numbers follow each other by one more than the gap between them."""
_NEARBY = re.compile(
    rb"((?:[\x80-\xff]{1,4}[\x01-\x7f])?)(?:[\x00-\x7f]++|[\x80-\xff][\x01-\x7f])*+"
)


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
    # Runs of one-byte gaps are nearly all there is; they are taken whole, at the speed of C.
    runs = [data] if data.isascii() else _RUNS.findall(data)
    steps: list[int] = []
    for run in runs:
        if run.isascii():
            steps += run.translate(_STEPS)
        elif len(run) == 2:
            steps.append(run[0] + (run[1] << 7) - 127)
        else:
            steps.append(_number(run) + 1)
    if sum(map(len, runs)) != len(data):
        raise InvalidDocument(
            [Problem("set", f"byte {_canonical(data)} starts no canonical number")]
        )
    if steps:
        steps[0] -= 1
    numbers = list(accumulate(steps))
    if numbers and numbers[-1] > MAX_NUMBER:
        raise InvalidDocument([Problem("set", "a number of more than 32 bits")])
    return numbers


def _canonical(data: bytes) -> int:
    """Return how many bytes at the beginning are canonical numbers."""
    end = 0
    for run in _RUNS.finditer(data):
        if run.start() != end:
            break
        end = run.end()
    return end


def check_set(data: bytes) -> bytes:
    """Return the bytes when they are a canonical set, without making its numbers.

    Raises:
        InvalidDocument: they are not.
    """
    # Of a machine's numbers only the first lies far from the one before: with the others below
    # 2^14 apart, the shape and a bound tell as much as the numbers would.
    shape = _NEARBY.fullmatch(data)
    if shape is None or _number(shape[1]) + (len(data) << 14) > MAX_NUMBER:
        decode_set(data)
    return data


def _number(text: bytes) -> int:
    number = 0
    for byte in reversed(text):
        number = number << 7 | byte & 0x7F
    return number


def pack(data: bytes) -> bytes:
    try:
        compressor = _compressors.pop()
    except IndexError:
        compressor = zstandard.ZstdCompressor(level=3, write_content_size=True)
    packed = compressor.compress(data)
    _compressors.append(compressor)
    return packed


def unpack(packed: bytes, *, limit: int = MAX_SET_BYTES, what: str = "set") -> bytes:
    """Undo `pack`, never producing more than `limit` bytes.

    Raises:
        InvalidDocument: not one complete zstd frame, or a frame of more than `limit` bytes.
    """
    try:
        decompressor = _decompressors.pop()
    except IndexError:
        decompressor = zstandard.ZstdDecompressor(max_window_size=8 << 20)
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= limit:
            raise InvalidDocument([Problem(what, f"declares {size} bytes, at most {limit}")])
        return decompressor.decompress(packed, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise InvalidDocument([Problem(what, f"is not a zstd frame: {error}")]) from error
    finally:
        _decompressors.append(decompressor)


def unpacked_size(packed: bytes) -> int:
    """Return how much `unpack` would make of it, as it says itself; 0 of what is no frame."""
    try:
        return max(0, zstandard.frame_content_size(packed))
    except zstandard.ZstdError:
        return 0


def state_digest(*, lineage: bytes, required: bytes, installed: bytes, unknown: bytes) -> bytes:
    """Return the digest of a client's whole state; the sets are in canonical form."""
    digest = sha256(b"patchtide-state-1\0" + lineage)
    for part in (required, installed, unknown):
        digest.update(len(part).to_bytes(4) + part)
    return digest.digest()
