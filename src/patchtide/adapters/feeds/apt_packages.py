"""A suite's index of packages, read as a stream: sixty thousand stanzas in well under a second.

Whoever calls this has verified the index (`apt_lists`). A stanza is looked into only as far as
it takes to see that nobody asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from patchtide.adapters.feeds.errors import FeedDamaged

_PIECE = 1 << 20
_NAME = b"Package: "
_SOURCE = re.compile(r"(?P<name>[^\s(]+)(?:\s+\((?P<version>[^)]+)\))?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_STANZA = 1 << 20
Names = Container[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedPackage:
    """One binary package in an index."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    summary: str
    path: str
    """Of its file, under the repository's address."""
    sha256: bytes
    size_bytes: int


def read_packages(index: BinaryIO, names: Names | None = None) -> Iterator[IndexedPackage]:
    """Yield every package, or those that are among the names.

    Raises:
        FeedDamaged: a stanza does not say what it must.
    """
    for stanza in _stanzas(index):
        if names is None or _after(stanza, _NAME) in names:
            yield _package(stanza)


def package_names(index: BinaryIO) -> Iterator[str]:
    """Raises FeedDamaged: a stanza does not say its name."""
    return (_after(stanza, _NAME) for stanza in _stanzas(index))


def _stanzas(index: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while piece := index.read(_PIECE):
        *whole, rest = (rest + piece).split(b"\n\n")
        if len(rest) > _MAX_STANZA:
            raise FeedDamaged("a stanza of a package index has no end")
        yield from filter(None, (stanza.strip(b"\n") for stanza in whole))
    if rest.strip(b"\n"):
        yield rest.strip(b"\n")


def _after(stanza: bytes, mark: bytes) -> str:
    """Return the value of a field, wherever it stands."""
    start = 0 if stanza.startswith(mark) else stanza.find(b"\n" + mark) + 1
    if not start and not stanza.startswith(mark):
        raise FeedDamaged(f"a stanza of a package index lacks {mark.decode().strip()}")
    start += len(mark)
    end = stanza.find(b"\n", start)
    value = stanza[start : end if end >= 0 else None]
    return value.decode("utf-8", "replace").strip()


def _package(stanza: bytes) -> IndexedPackage:
    fields = dict(_fields(stanza.decode("utf-8", "replace")))
    try:
        name, version = fields["Package"], fields["Version"]
        digest, size = fields["SHA256"], int(fields["Size"])
        source = _SOURCE.match(fields.get("Source", name))
        if not source or not _SHA256.fullmatch(digest) or size < 0 or not name or not version:
            raise ValueError(name)
        return IndexedPackage(
            name=name,
            version=version,
            architecture=fields["Architecture"],
            source=source["name"],
            source_version=source["version"] or version,
            summary=fields.get("Description", ""),
            path=fields["Filename"],
            sha256=bytes.fromhex(digest),
            size_bytes=size,
        )
    except (KeyError, ValueError) as error:
        raise FeedDamaged(f"a stanza of a package index is not whole: {error}") from error


def _fields(stanza: str) -> Iterator[tuple[str, str]]:
    for line in stanza.split("\n"):
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            yield name, value.strip()
