"""`primary.xml`: the packages of a repository, as far as somebody asks for them.

Half a gigabyte in the largest case, so it is read as a stream, and a package that nobody asks for
leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from patchtide.adapters.feeds.errors import FeedDamaged
from patchtide.adapters.feeds.rpm_advisories import version_of
from patchtide.adapters.feeds.rpm_index import is_path
from patchtide.adapters.feeds.xml_stream import read_xml

_SIDE_BY_SIDE = ("installonlypkg(", "multiversion(")
"""What a package provides when its versions are installed beside each other."""
KERNELS = frozenset({"kernel", "kernel-PAE"})
_TEXTS = frozenset({"name", "arch", "checksum"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedPackage:
    """A package that the repository holds."""

    name: str
    architecture: str
    version: str
    sha256: bytes
    size_bytes: int
    path: str = ""
    """Of its file, under the repository's address; empty: it lies elsewhere."""
    side_by_side: bool = False


def read_packages(
    pieces: Iterable[bytes], names: Container[str], *, name: str
) -> list[OfferedPackage]:
    """Return those packages that are among the names.

    Raises:
        FeedDamaged: it is no such document, or does not name its packages by SHA-256.
    """
    reader = _Reader(name, names)
    read_xml(pieces, reader, name=name)
    return reader.found


@dataclass(slots=True)
class _Reader:
    document: str
    names: Container[str]
    found: list[OfferedPackage] = field(default_factory=list)
    _said: dict[str, str] = field(default_factory=dict)
    _inside: bool = False
    """In a package that somebody asks for, or whose name was not told yet."""
    _provides: bool = False

    def opened(self, tag: str, attributes: dict[str, str]) -> bool:
        if tag == "package":
            self._said, self._inside, self._provides = {}, True, False
        elif not self._inside:
            return False
        elif tag in _TEXTS:
            if tag == "checksum":
                self._said["algorithm"] = attributes.get("type", "")
            return True
        elif tag == "version":
            self._said["version"] = version_of(
                attributes.get("epoch"), attributes.get("ver", ""), attributes.get("rel", "")
            )
        elif tag == "size":
            self._said["size"] = attributes.get("package", "")
        elif tag == "location":
            href = attributes.get("href", "")
            self._said["path"] = href if is_path(href) and "xml:base" not in attributes else ""
        elif tag == "rpm:provides":
            self._provides = True
        elif (
            tag == "rpm:entry"
            and self._provides
            and attributes.get("name", "").startswith(_SIDE_BY_SIDE)
        ):
            self._said["side_by_side"] = "yes"
        return False

    def closed(self, tag: str, text: str) -> None:
        if not self._inside:
            return
        if tag == "name":
            self._said["name"] = text
            self._inside = text in self.names
        elif tag in _TEXTS:
            self._said.setdefault(tag, text.strip())
        elif tag == "rpm:provides":
            self._provides = False
        elif tag == "package":
            self.found.append(self._package())
            self._inside = False

    def _package(self) -> OfferedPackage:
        said = self._said
        if said.get("algorithm") != "sha256":
            raise FeedDamaged(f"{self.document}: {said.get('name')} is not named by its SHA-256")
        try:
            digest, size = bytes.fromhex(said["checksum"]), int(said["size"])
            if len(digest) != 32 or not 0 <= size < 2**53 or not said["arch"]:
                raise ValueError(said["checksum"])
            return OfferedPackage(
                name=said["name"],
                architecture=said["arch"],
                version=said["version"],
                sha256=digest,
                size_bytes=size,
                path=said.get("path", ""),
                side_by_side="side_by_side" in said or said["name"] in KERNELS,
            )
        except (KeyError, ValueError) as error:
            raise FeedDamaged(f"{self.document}: {said.get('name')} is not whole") from error
