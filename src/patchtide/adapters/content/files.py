"""The content store in a folder: `<sha256>`, written whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from patchtide.domain.errors import Refused

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
        if not self._is_here(digest, len(data)):
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
        draft.rename(self.path(digest))
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
