"""Lists of mirrors: plain ones, and metalinks, which also say what a mirror's index must hash to.

Anybody may run a mirror, so what comes from one is believed for the vendor's signature over the
index, or for the hash that a metalink names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from patchtide.adapters.feeds.errors import FeedDamaged, FeedUnreachable
from patchtide.adapters.feeds.xml_stream import read_xml

MAX_LIST_BYTES = 1 << 20
MOST = 5
"""So many mirrors are tried; a list begins with the nearest."""
_INDEX = "/repodata/repomd.xml"
_HASHES = ("sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True)
class Mirrors:
    addresses: tuple[str, ...]
    hashes: frozenset[tuple[str, str]] = frozenset()
    """(algorithm, digest) of the indices that a mirror may have; none: any that is signed."""

    def require(self, document: bytes, *, name: str) -> None:
        """Raises FeedDamaged: the index is none of those."""
        fits = any(hashlib.new(how, document).hexdigest() == said for how, said in self.hashes)
        if self.hashes and not fits:
            raise FeedDamaged(f"{name} is not the index that its metalink names")


def read_mirror_list(document: bytes, *, name: str) -> Mirrors:
    """Return the addresses of a plain list, one a line.

    Raises:
        FeedUnreachable: there is none.
    """
    lines = (line.strip() for line in document.decode("utf-8", "replace").split("\n"))
    return _some(iter(line for line in lines if line and line[0] != "#"), name=name)


def read_metalink(document: bytes, *, name: str) -> Mirrors:
    """Return the addresses and hashes of a metalink.

    Raises:
        FeedDamaged: it is none, or names no hash.
        FeedUnreachable: it names no mirror.
    """
    reader = _Reader()
    read_xml([document], reader, name=name, most=100_000)
    if not reader.hashes:
        raise FeedDamaged(f"{name} names no hash of the index")
    return _some(iter(reader.addresses), frozenset(reader.hashes), name=name)


def _some(
    found: Iterator[str], hashes: frozenset[tuple[str, str]] = frozenset(), *, name: str
) -> Mirrors:
    fits = (each for each in found if urlsplit(each).scheme in ("https", "http"))
    bases = dict.fromkeys(each.removesuffix(_INDEX).rstrip("/") for each in fits)
    if not bases:
        raise FeedUnreachable(f"{name} names no mirror that can be asked")
    return Mirrors(tuple(bases)[:MOST], hashes)


@dataclass(slots=True)
class _Reader:
    addresses: list[str] = field(default_factory=list)
    hashes: list[tuple[str, str]] = field(default_factory=list)
    _algorithm: str = ""

    def opened(self, tag: str, attributes: dict[str, str]) -> bool:
        if tag == "hash":
            self._algorithm = attributes.get("type", "")
        return tag in ("hash", "url")

    def closed(self, tag: str, text: str) -> None:
        if tag == "url" and text.strip().endswith(_INDEX):
            self.addresses.append(text.strip())
        elif tag == "hash" and self._algorithm in _HASHES:
            self.hashes.append((self._algorithm, text.strip().lower()))
