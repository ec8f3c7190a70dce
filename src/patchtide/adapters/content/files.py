"""The content store in a folder: `<sha256>`, written whole or not at all.

What comes part by part lies under another name, which nobody is served, until it is whole and has
the digest that it was announced with.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from patchtide.domain.errors import NotFound, Refused, StaleRevision

WAITING_S = 7 * 86_400
"""How long the parts of a file wait for the rest."""
_PARTS = ".parts."
_NAME = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


class WrongContent(Refused):
    """The bytes are not those of this digest."""

    code = "wrong-content"


class FileContentStore:
    """Keeps bytes under their own digest. A file is durable before its name exists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        return self._folder / digest

    def sizes(self) -> Mapping[bytes, int]:
        """Return what is here: digest -> length."""
        with os.scandir(self._folder) as entries:
            return {
                bytes.fromhex(entry.name): entry.stat().st_size
                for entry in entries
                if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            }

    def put(self, data: bytes) -> str:
        """Store the bytes, once, and return their digest."""
        digest = sha256(data).hexdigest()
        if not (self._is_here(digest, len(data)) and self.keep_on(digest)):
            with self._draft(digest) as file:
                file.write(data)
        return digest

    def put_from(self, read: Callable[[int], bytes], *, digest: str, size: int) -> bool:
        """Store so many bytes, a piece at a time; False: they were here, and are passed over.

        Raises:
            WrongContent: they have another digest, or there are fewer; nothing is stored.
        """
        if self._is_here(digest, size):
            for _ in _pieces(read, size):
                pass
            return False
        found = sha256()
        with self._draft(digest) as file:
            for piece in _pieces(read, size):
                found.update(piece)
                file.write(piece)
            if found.hexdigest() != digest:
                raise WrongContent(f"what came for {digest} is something else")
        return True

    def keep_on(self, digest: str) -> bool:
        """Let a file's age begin anew, for it is named again; False: it is not here."""
        try:
            os.utime(self.path(digest))
        except FileNotFoundError:
            return False
        return True

    def drop(self, digest: str, *, unless_since: float) -> bool:
        """Remove a file, unless it was put or named again since; say whether it has gone.

        It loses its name first: who puts it meanwhile either finds none and writes it anew, or
        has touched it before, which is seen here.
        """
        path = self.path(digest)
        going = self._folder / f".{digest}.going"
        try:
            if path.stat().st_mtime >= unless_since:
                return False
            path.rename(going)
        except FileNotFoundError:
            if not going.exists():  # else it was ended half way
                return False
        if going.stat().st_mtime >= unless_since:
            going.rename(path)
            return False
        going.unlink()
        return True

    def _is_here(self, digest: str, size: int) -> bool:
        path = self.path(digest)
        return path.exists() and path.stat().st_size == size

    @contextmanager
    def _draft(self, digest: str) -> Iterator[BinaryIO]:
        draft = self._folder / f".{digest}.{secrets.token_hex(4)}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(handle)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        self._name(draft, self.path(digest))

    def size(self, digest: bytes) -> int | None:
        """See the port `ContentIntake`."""
        return _size(self.path(digest.hex()))

    def begun(self, digest: bytes) -> int:
        """See the port `ContentIntake`."""
        return _size(self._parts(digest)) or 0

    def append(self, digest: bytes, part: bytes, *, offset: int) -> None:
        """See the port `ContentIntake`."""
        if not offset:
            self.forget_old_parts()
        with self._opened(digest, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as handle:
            found = os.fstat(handle).st_size
            if found != offset:
                raise StaleRevision(f"{found} bytes are here by now, not {offset}")
            with os.fdopen(os.dup(handle), "ab") as file:
                file.write(part)

    def finish(self, digest: bytes) -> None:
        """See the port `ContentIntake`."""
        parts = self._parts(digest)
        with self._opened(digest, os.O_RDONLY) as handle:
            with os.fdopen(os.dup(handle), "rb") as file:
                found = hashlib.file_digest(file, "sha256").digest()
            if found != digest:
                parts.unlink(missing_ok=True)
                raise WrongContent(f"its SHA-256 is {found.hex()}, not {digest.hex()}")
            os.fsync(handle)
        self._name(parts, self.path(digest.hex()))

    def read(self, digest: bytes, *, at_most: int) -> bytes:
        """See the port `ContentIntake`."""
        path = self.path(digest.hex())
        found = _size(path)
        if found is None or found > at_most:
            raise NotFound(f"there is no file {digest.hex()} of at most {at_most} bytes")
        return path.read_bytes()

    def _parts(self, digest: bytes) -> Path:
        return self._folder / f"{_PARTS}{digest.hex()}"

    @contextmanager
    def _opened(self, digest: bytes, flags: int) -> Iterator[int]:
        handle = os.open(self._parts(digest), flags | os.O_NOFOLLOW, 0o600)
        try:
            yield handle
        finally:
            os.close(handle)

    def forget_old_parts(self) -> None:
        """See the port `ContentIntake`."""
        before = time.time() - WAITING_S
        for path in self._folder.glob(f"{_PARTS}*"):
            if path.stat().st_mtime < before:
                path.unlink(missing_ok=True)

    def _name(self, draft: Path, path: Path) -> None:
        draft.rename(path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _pieces(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    while size:
        piece = read(min(size, _CHUNK))
        if not piece:
            return
        size -= len(piece)
        yield piece


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
