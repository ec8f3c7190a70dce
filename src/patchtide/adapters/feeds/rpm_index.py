"""`repomd.xml`: which files describe an RPM repository, and how each is known again.

Whoever calls this has verified the vendor's signature over it, or trusts the line it came by.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote

from patchtide.adapters.feeds.errors import FeedDamaged
from patchtide.adapters.feeds.xml_stream import read_xml

MAX_INDEX_BYTES = 4 << 20
MAX_FILE_BYTES = 1 << 30
"""Packed or not. The largest one known, a distribution's whole `primary`, has a quarter of it."""
_MAX_ELEMENTS = 10_000
_HASHES = {"sha256": 64, "sha384": 96, "sha512": 128}
"""No older ones: what names a file by them names no file."""
_HEX = re.compile(r"[0-9a-f]+")
_PATH = re.compile(r"[A-Za-z0-9._+~^/%@,=-]{1,500}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One of the repository's own documents."""

    kind: str
    href: str
    """Where it lies, under the repository's address."""
    algorithm: str
    digest: str
    size_bytes: int
    open_size_bytes: int
    open_digest: str | None = None
    """SHA-256 of what is packed in it; None: it is not named by that."""
    signed_at: float
    """When it was made, by its repository's own word; 0: it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryIndex:
    revision: str
    files: Mapping[str, DataFile]

    @property
    def made_at(self) -> datetime:
        """Return when the newest of it was made; the revision is a time where nothing else is."""
        times = [file.signed_at for file in self.files.values()]
        if not any(times) and self.revision.isdecimal():
            times = [float(self.revision[:12])]
        return datetime.fromtimestamp(min(max(times, default=0.0), 2**33), UTC)


def read_index(document: bytes, *, name: str) -> RepositoryIndex:
    """Return what the index names.

    Raises:
        FeedDamaged: it is no such document, or names a file that nobody should fetch.
    """
    reader = _Reader(name)
    read_xml([document], reader, name=name, most=_MAX_ELEMENTS)
    if "primary" not in reader.files:
        raise FeedDamaged(f"{name} names no list of packages")
    return RepositoryIndex(revision=reader.revision, files=reader.files)


@dataclass(slots=True)
class _Reader:
    name: str
    revision: str = ""
    files: dict[str, DataFile] = field(default_factory=dict)
    _said: dict[str, str] = field(default_factory=dict)

    def opened(self, tag: str, attributes: dict[str, str]) -> bool:
        if tag == "data":
            self._said = {"kind": attributes.get("type", "")}
        elif tag == "location":
            self._said["href"] = attributes.get("href", "")
            self._said["base"] = attributes.get("xml:base", "")
        elif tag in ("checksum", "open-checksum"):
            self._said[_ALGORITHM[tag]] = attributes.get("type", "")
        return tag in ("revision", "checksum", "open-checksum", "size", "open-size", "timestamp")

    def closed(self, tag: str, text: str) -> None:
        if tag == "data":
            # The others may be of a kind that is not read here.
            if self._said["kind"] in WANTED:
                self.files[self._said["kind"]] = _data_file(self._said, name=self.name)
        elif tag == "revision":
            self.revision = text.strip()
        else:
            self._said[tag] = text.strip()


WANTED = ("primary", "updateinfo")
_ALGORITHM = {"checksum": "algorithm", "open-checksum": "open-algorithm"}


def _data_file(said: Mapping[str, str], *, name: str) -> DataFile:
    what = f"{name}, {said['kind']}"
    algorithm, digest = said.get("algorithm", ""), said.get("checksum", "")
    if _HASHES.get(algorithm) != len(digest) or not _HEX.fullmatch(digest):
        raise FeedDamaged(f"{what}: no SHA-256 or better names the file")
    if said.get("base") or not is_path(said.get("href", "")):
        href = said.get("href", "")[:200]
        raise FeedDamaged(f"{what}: its place is not under the repository: {href!r}")
    size = _size(said.get("size", ""), what)
    return DataFile(
        kind=said["kind"],
        href=said["href"],
        algorithm=algorithm,
        digest=digest,
        size_bytes=size,
        open_size_bytes=_size(said["open-size"], what) if "open-size" in said else MAX_FILE_BYTES,
        open_digest=_open_digest(said),
        signed_at=_time(said.get("timestamp", "")),
    )


def _open_digest(said: Mapping[str, str]) -> str | None:
    digest = said.get("open-checksum", "")
    is_one = said.get("open-algorithm") == "sha256" and len(digest) == _HASHES["sha256"]
    return digest if is_one and _HEX.fullmatch(digest) else None


def is_path(href: str) -> bool:
    """Say whether it stays below where it begins, however it is written."""
    plain = unquote(href)
    return (
        bool(_PATH.fullmatch(href))
        and not plain.startswith("/")
        and "%" not in plain
        and ".." not in plain.split("/")
    )


def _size(text: str, what: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 16 and int(text) <= MAX_FILE_BYTES:
        return int(text)
    raise FeedDamaged(f"{what}: its size is {text[:20]!r}, and at most {MAX_FILE_BYTES} is read")


def _time(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 2.0**33)
    except ValueError:
        return 0.0
