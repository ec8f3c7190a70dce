"""The content store in a folder: `<sha256>`, written whole or not at all."""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from pathlib import Path


class FileContentStore:
    """Keeps bytes under their own digest. A file is durable before its name exists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        return self._folder / digest

    def put(self, data: bytes) -> str:
        """Store the bytes, once, and return their digest."""
        digest = sha256(data).hexdigest()
        path = self.path(digest)
        if path.exists() and path.stat().st_size == len(data):
            return digest
        draft = self._folder / f".{digest}.{secrets.token_hex(4)}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        draft.rename(path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return digest
