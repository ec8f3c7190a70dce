"""Catalogs in files: the newest export as it is sent, and imports as they arrive.

An export is not written a second time: its head and what it tells of updates lie here, its content
is read where it lies anyway. An import arrives piece by piece in a file that is named by its
manifest's digest; what was verified gets the name of its exporter, where the feed reads it.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from shutil import disk_usage

from patchtide.adapters.content.files import FileContentStore
from patchtide.domain.errors import NotFound, Unavailable
from patchtide.server.ports.catalog_files import PartKind
from patchtide.wire.catalog_file import PartV1, Read, read_head, read_manifest

_NAME = re.compile(r"[0-9a-f]{64}")
EXPORTER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
RESERVE_BYTES = 256 << 20
"""So much of the disk is left to the database, whatever somebody sends."""
HEAD, ARRIVING, TAKEN = ".head", ".arriving", ".catalog"


@dataclass(frozen=True, slots=True)
class _Open:
    """The export that is being read: its pieces, and where each ends."""

    name: str
    head: bytes
    parts: tuple[PartV1, ...]
    ends: tuple[int, ...]


class ExportFolder:
    """At most one export; the next one takes its place."""

    def __init__(self, folder: Path, content: FileContentStore) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._parts = FileContentStore(folder / "parts")
        self._content = content
        self._open: _Open | None = None

    def content(self) -> Mapping[bytes, int]:
        return self._content.sizes()

    def put(self, kind: PartKind, data: bytes) -> PartV1:
        return PartV1(kind, bytes.fromhex(self._parts.put(data)), len(data))

    def finish(self, name: str, head: bytes, parts: Sequence[PartV1]) -> None:
        """Write the head last: until then the export before this one is whole."""
        draft = self._folder / ".new"
        _write(draft, head)
        draft.rename(self._folder / f"{name}{HEAD}")
        needed = {part.sha256.hex() for part in parts}
        for path in self._folder.glob(f"*{HEAD}"):
            if path.name != f"{name}{HEAD}":
                path.unlink()
        for digest in self._parts.sizes():
            if digest.hex() not in needed:
                self._parts.path(digest.hex()).unlink()
        self._open = None

    def read(self, name: str, offset: int, *, at_most: int) -> tuple[bytes, int]:
        """Raises NotFound: there is no such export (any more)."""
        export = self._opened(name)
        whole = export.ends[-1]
        pieces: list[bytes] = []
        while at_most and offset < whole:
            place = bisect_right(export.ends, offset)
            begins = export.ends[place - 1] if place else 0
            size = min(at_most, export.ends[place] - offset)
            piece = self._piece(export, place, offset - begins, size)
            if len(piece) != size:
                raise NotFound("content of this export is gone; export again")
            pieces.append(piece)
            offset += size
            at_most -= size
        return b"".join(pieces), whole

    def _piece(self, export: _Open, place: int, offset: int, size: int) -> bytes:
        if place == 0:
            return export.head[offset : offset + size]
        part = export.parts[place - 1]
        store = self._parts if part.kind in ("updates", "vendors") else self._content
        try:
            with store.path(part.sha256.hex()).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            return b""

    def _opened(self, name: str) -> _Open:
        if self._open is None or self._open.name != name:
            path = self._folder / f"{name}{HEAD}"
            if not _NAME.fullmatch(name) or not path.exists():
                raise NotFound("there is no such export any more; export again")
            with path.open("rb") as file:
                _, manifest = read_head(file.read)
                head = path.read_bytes()
            parts = read_manifest(manifest).parts
            ends = accumulate((part.size_bytes for part in parts), initial=len(head))
            self._open = _Open(name, head, parts, tuple(ends))
        return self._open


class ImportFolder:
    """Files of other sites: one on its way, and the last one of each exporter."""

    def __init__(
        self, folder: Path, content: FileContentStore, *, reserve_bytes: int = RESERVE_BYTES
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._content = content
        self._reserve_bytes = reserve_bytes

    def received(self, name: str) -> int:
        path = self._arriving(name)
        return path.stat().st_size if path.exists() else 0

    def append(self, name: str, piece: bytes, *, at: int) -> int:
        received = self.received(name)
        if at != received or not piece:
            return received
        if disk_usage(self._folder).free < self._reserve_bytes + len(piece):
            raise Unavailable("it cannot be kept here: the disk is nearly full")
        path = self._arriving(name)
        if not received:
            for other in self._folder.glob(f"*{ARRIVING}"):
                other.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        try:
            with os.fdopen(os.open(path, flags, 0o600), "ab") as file:
                file.write(piece)
                file.flush()
        except OSError as error:
            # What came of half a piece would make every later one go elsewhere.
            os.truncate(path, received)
            raise Unavailable(f"it cannot be kept here: {error.strerror}") from error
        return received + len(piece)

    @contextmanager
    def reading(self, name: str) -> Iterator[Read]:
        path = self._arriving(name)
        if not path.exists():
            raise NotFound("nothing of this file is here; send it first")
        with path.open("rb") as file:
            yield file.read

    def drop(self, name: str) -> None:
        self._arriving(name).unlink(missing_ok=True)

    def keep_content(self, read: Read, parts: Iterable[PartV1]) -> int:
        kept = 0
        for part in parts:
            if part.kind == "content":
                digest = part.sha256.hex()
                kept += self._content.put_from(read, digest=digest, size=part.size_bytes)
            else:
                read(part.size_bytes)
        return kept

    def take(self, name: str, *, exporter: str, length: int) -> None:
        path = self._arriving(name)
        before = list(self._taken(exporter))
        with path.open("r+b") as file:
            file.truncate(length)
            os.fsync(file.fileno())
        path.rename(self._folder / f"{exporter}.{name}{TAKEN}")
        for other in before:
            if other.name != f"{exporter}.{name}{TAKEN}":
                other.unlink()
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def forget(self, exporter: str) -> None:
        for path in self._taken(exporter):
            path.unlink(missing_ok=True)

    def _arriving(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise NotFound("this is no name of a catalog's file")
        return self._folder / f"{name}{ARRIVING}"

    def _taken(self, exporter: str) -> Iterator[Path]:
        if not EXPORTER.fullmatch(exporter):
            raise NotFound("this is no name of a site")
        return self._folder.glob(f"{exporter}.*{TAKEN}")


def _write(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
