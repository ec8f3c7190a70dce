"""Compressed files as streams within limits: a bomb ends in an error, never in memory or on disk.

What is asked for is unpacked piece by piece, and no piece is larger than `PIECE`. Windows and
dictionaries are limited too: a file of a few bytes may ask for gigabytes of them.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import BinaryIO

import zstandard

from patchtide.adapters.feeds.errors import FeedDamaged

PIECE = 256 << 10
MAX_WINDOW = 128 << 20
"""Of xz and zstd; what is packed for distribution stays below."""

_BROKEN = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


def unpacked(stream: BinaryIO, name: str, *, most: int) -> Iterator[bytes]:
    """Yield what is in the file, by the ending of its name; one without such an ending as it is.

    Raises:
        FeedDamaged: it is not whole, holds more than `most` bytes, or needs too large a window.
    """
    total = 0
    try:
        for piece in _UNPACKERS.get(PurePosixPath(name).suffix, _plain)(stream):
            total += len(piece)
            if total > most:
                raise FeedDamaged(f"{name} unpacks to more than {most} bytes")
            yield piece
    except _BROKEN as error:
        raise FeedDamaged(f"{name} cannot be unpacked: {error}") from error


def _plain(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(PIECE):
        yield piece


def _gz(stream: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=stream, mode="rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _bz2(stream: BinaryIO) -> Iterator[bytes]:
    with bz2.BZ2File(stream, "rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _xz(stream: BinaryIO) -> Iterator[bytes]:
    """By hand, since the library's own file has no limit of memory."""
    data = stream.read(PIECE)
    while data:
        machine = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=MAX_WINDOW)
        while not machine.eof:
            if not data and machine.needs_input:
                raise EOFError("it ends too early")
            yield machine.decompress(data, PIECE)
            data = stream.read(PIECE) if machine.needs_input else b""
        # Several streams may follow each other, with zeros between them.
        data = machine.unused_data.lstrip(b"\0") or stream.read(PIECE).lstrip(b"\0")


def _zst(stream: BinaryIO) -> Iterator[bytes]:
    machine = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    with machine.stream_reader(stream, read_across_frames=True, closefd=False) as file:
        while piece := file.read(PIECE):
            yield piece


_UNPACKERS: Mapping[str, Callable[[BinaryIO], Iterator[bytes]]] = {
    ".gz": _gz,
    ".bz2": _bz2,
    ".xz": _xz,
    ".zst": _zst,
}
