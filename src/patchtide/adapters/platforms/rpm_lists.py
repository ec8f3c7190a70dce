"""What a repository's verified index and list of packages say. Nothing else may be read here.

The vendor signed it, and still no document type is taken, so there are no entities (S26). Nothing
is built of the whole: the list of a distribution has tens of megabytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from patchtide.agent.vendors import SignedPackage, VendorRefused

_PIECE = 1 << 18
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIZE = re.compile(r"[0-9]{1,15}")
Opened = Callable[[str, dict[str, str]], None]
Closed = Callable[[str, str], None]


@dataclass(slots=True)
class Index:
    """What `repomd.xml` says of the list of packages, unpacked."""

    revision: str = ""
    made_at: float = 0.0
    digest: str = ""
    size: int = -1
    _kind: str = ""
    _algorithm: str = ""

    def opened(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "data":
            self._kind = attributes.get("type", "")
        elif tag == "open-checksum":
            self._algorithm = attributes.get("type", "")

    def closed(self, tag: str, text: str) -> None:
        if tag == "revision":
            self.revision = text[:80] if text.isprintable() else ""
        elif tag == "timestamp" and re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text):
            self.made_at = max(self.made_at, float(text))
        elif self._kind == "primary" and tag == "open-checksum" and self._algorithm == "sha256":
            self.digest = text
        elif self._kind == "primary" and tag == "open-size" and _SIZE.fullmatch(text):
            self.size = int(text)


@dataclass(slots=True)
class _Packages:
    found: list[SignedPackage] = field(default_factory=list)
    _said: dict[str, str] = field(default_factory=dict)

    def opened(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "package":
            self._said = {}
        elif tag == "version":
            epoch = attributes.get("epoch", "").lstrip("0")
            beginning = f"{epoch}:" if epoch else ""
            self._said["version"] = f"{beginning}{attributes.get('ver')}-{attributes.get('rel')}"
        elif tag == "size":
            self._said["size"] = attributes.get("package", "")
        elif tag == "checksum":
            self._said["algorithm"] = attributes.get("type", "")

    def closed(self, tag: str, text: str) -> None:
        if tag in ("name", "checksum"):
            self._said.setdefault(tag, text)
        elif tag == "package":
            self._add(self._said)

    def _add(self, said: dict[str, str]) -> None:
        digest, size = said.get("checksum", ""), said.get("size", "")
        named = said.get("algorithm") == "sha256" and _SHA256.fullmatch(digest)
        if named and _SIZE.fullmatch(size) and "name" in said and "version" in said:
            package = SignedPackage(said["name"], said["version"], bytes.fromhex(digest), int(size))
            self.found.append(package)


def named_by_index(document: bytes) -> Index:
    """Raises VendorRefused: it is no such document."""
    index = Index()
    _parse(iter((document,)), index.opened, index.closed)
    return index


def packages_of(primary: bytes) -> Iterator[SignedPackage]:
    """Yield the packages that it names by SHA-256.

    Raises:
        VendorRefused: it is no such document.
    """
    reader = _Packages()
    view = memoryview(primary)
    pieces = (bytes(view[at : at + _PIECE]) for at in range(0, len(view), _PIECE))
    _parse(pieces, reader.opened, reader.closed)
    yield from reader.found


def _parse(pieces: Iterator[bytes], opened: Opened, closed: Closed) -> None:
    text: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        text.clear()
        opened(tag, attributes)

    def end(tag: str) -> None:
        closed(tag, "".join(text).strip())
        text.clear()

    def refuse(*_: object) -> None:
        raise VendorRefused("a document type is in a repository's document")

    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, UnicodeDecodeError) as error:
        raise VendorRefused(f"a repository's document is no XML: {error}") from error
