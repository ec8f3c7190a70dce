"""Files of advisories beside a feed: OSV and CSAF documents, one by one, in folders, in archives.

They say more of updates that a feed tells of and make none of their own, so a document that cannot
be read is passed over and counted; what is made to do harm is refused.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import msgspec

from patchtide.adapters.feeds.advice_csaf import read_csaf
from patchtide.adapters.feeds.advice_osv import read_osv
from patchtide.adapters.feeds.errors import FeedDamaged, FeedUnreachable
from patchtide.domain.catalog.enrichment import Advice

MAX_DOCUMENTS = 500_000
MAX_DOCUMENT = 16 << 20
MAX_TOTAL = 4 << 30
"""Unpacked. All that is known of a distribution has a tenth of it."""
_SHOWN = 3


class _Shape(msgspec.Struct):
    """As much as tells one format from the other."""

    document: msgspec.Raw = msgspec.Raw()


@dataclass(slots=True)
class AdviceShelf:
    """What lies under the paths. `unread` are the documents that could not be read."""

    paths: Sequence[Path]
    unread: list[str] = field(default_factory=list)
    _documents: int = 0
    _bytes: int = 0

    def stamp(self) -> bytes:
        """Return what stands for all that is here, without reading it."""
        digest = sha256(b"patchtide-advices-1\0")
        for path in self._files():
            found = path.stat()
            digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
        return digest.digest()

    def advices(self) -> Iterator[Advice]:
        """Yield what the documents say.

        Raises:
            FeedUnreachable: a path is not there, or cannot be read.
            FeedDamaged: an archive is not whole, or there is more than anybody needs.
        """
        for name, data in self._contents():
            try:
                shape = msgspec.json.decode(data, type=_Shape)
                advice = read_csaf(data) if bytes(shape.document) else read_osv(data)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                self.unread.append(name)
            else:
                if advice is not None:
                    yield advice

    @property
    def note(self) -> str:
        if not self.unread:
            return ""
        shown = ", ".join(self.unread[:_SHOWN])
        return f"{len(self.unread)} advisories cannot be read: {shown}"

    def _files(self) -> Iterator[Path]:
        for path in self.paths:
            if not path.exists():
                raise FeedUnreachable(f"{path} is not there")
            for folder, folders, names in os.walk(path) if path.is_dir() else ():
                folders.sort()
                yield from (Path(folder) / n for n in sorted(names) if n.endswith(_ENDINGS))
            if path.is_file():
                yield path

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        for path in self._files():
            try:
                if path.suffix == ".zip":
                    yield from self._archive(path)
                else:
                    with path.open("rb") as file:
                        yield path.name, self._counted(file.read(MAX_DOCUMENT + 1), path.name)
            except OSError as error:
                raise FeedUnreachable(f"{path}: {error.strerror}") from error

    def _archive(self, path: Path) -> Iterator[tuple[str, bytes]]:
        """Names in it are only shown; nothing is ever written by them."""
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    if not member.is_dir() and member.filename.endswith(".json"):
                        if member.compress_type not in _COMPRESSED:
                            raise FeedDamaged(f"{path.name} is compressed in a way none needs")
                        # What it says of its size may be a lie, so it is read to a limit.
                        with archive.open(member) as file:
                            data = file.read(MAX_DOCUMENT + 1)
                        yield member.filename[-80:], self._counted(data, member.filename[-80:])
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as bad:
            raise FeedDamaged(f"{path.name} cannot be unpacked: {bad}") from bad

    def _counted(self, data: bytes, name: str) -> bytes:
        self._documents += 1
        self._bytes += len(data)
        if len(data) > MAX_DOCUMENT:
            raise FeedDamaged(f"{name} is more than {MAX_DOCUMENT >> 20} MiB of an advisory")
        if self._documents > MAX_DOCUMENTS or self._bytes > MAX_TOTAL:
            raise FeedDamaged(f"there are more advisories than anybody needs, at {name}")
        return data


_ENDINGS = (".json", ".zip")
_COMPRESSED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others have no limit of memory."""
