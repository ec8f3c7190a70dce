"""The folder in which python-tuf keeps metadata, looked after where it does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from tuf.api.exceptions import LengthOrHashMismatchError, RepositoryError
from tuf.api.metadata import Metadata, TargetFile

from patchtide.adapters.trust.durable import private_folder, sync_file, sync_folder
from patchtide.adapters.trust.floors import Floor
from patchtide.adapters.trust.layout import ROOT, Signable
from patchtide.agent.ports.trust import TrustEvent

CACHE_LOST = "metadata-cache-lost"
KEPT_BYTES = 64 << 10


class TargetCache:
    """Small files of the repository, each verified anew when it is read."""

    def __init__(self, folder: Path) -> None:
        self._folder = private_folder(folder)

    def read(self, info: TargetFile) -> bytes | None:
        """Return the file if it is here as the metadata says it is now."""
        try:
            data = self._path(info).read_bytes()
            info.verify_length_and_hashes(data)
        except (OSError, LengthOrHashMismatchError):
            return None
        return data

    def held(self, path: str) -> bytes:
        """Return what lies here under a path, unverified; empty: nothing."""
        place = self._folder / sha256(path.encode()).hexdigest()
        return place.read_bytes() if place.exists() else b""

    def keep(self, info: TargetFile, data: bytes) -> None:
        """Not durable: what a power cut leaves of it is not believed."""
        if len(data) <= KEPT_BYTES:
            path = self._path(info)
            temporary = path.with_suffix(".new")
            temporary.write_bytes(data)
            temporary.replace(path)

    def _path(self, info: TargetFile) -> Path:
        return self._folder / sha256(info.path.encode()).hexdigest()


class MetadataCache:
    def __init__(self, folder: Path) -> None:
        self.folder = private_folder(folder)
        self._history = private_folder(folder / "root_history")

    def empty(self) -> bool:
        return next(self._files(), None) is None

    def read(self, role: str) -> bytes:
        return self._path(role).read_bytes()

    def sync(self) -> None:
        """Put everything on stable storage, which python-tuf does not."""
        for path in self._files():
            sync_file(path)
        sync_folder(self._history)
        sync_folder(self.folder)

    def clean(self, floors: Mapping[str, Floor]) -> list[TrustEvent]:
        """Remove what is damaged or behind its floor; say so for what was accepted and is lost."""
        lost = [
            role
            for role, floor in sorted(floors.items())
            if floor.digest and not self._keeps(role, floor)
        ]
        return [TrustEvent(CACHE_LOST, ", ".join(lost))] if lost else []

    def _keeps(self, role: str, floor: Floor) -> bool:
        """Say whether the accepted metadata is there, or newer that was not accepted yet."""
        path = self._history / f"{floor.version}.root.json" if role == ROOT else self._path(role)
        if not path.exists():
            return False
        data = path.read_bytes()
        if sha256(data).digest() == floor.digest:
            return True
        newer = role != ROOT and _version(data) > floor.version
        if not newer:
            path.unlink()
        return newer

    def _path(self, role: str) -> Path:
        return self.folder / f"{quote(role, '')}.json"

    def _files(self) -> Iterator[Path]:
        for folder in (self.folder, self._history):
            yield from (p for p in folder.glob("*.json") if p.is_file() and not p.is_symlink())


def _version(data: bytes) -> int:
    try:
        metadata: Signable = Metadata.from_bytes(data)
    except RepositoryError:
        return 0
    return int(metadata.signed.version)
