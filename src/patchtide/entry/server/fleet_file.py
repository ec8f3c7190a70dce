"""The file in which a node keeps its view of the fleet; it may be deleted at any time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from patchtide.adapters.trust.durable import locked, private_folder, write_parts_durably


class FleetFile:
    """Nodes of one site may share it: what one of them wrote, any other can go on from."""

    def __init__(self, path: Path) -> None:
        private_folder(path.parent)
        self._path = path
        self._lock = path.with_name("lock")

    def read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def write(self, parts: Iterable[bytes]) -> None:
        with locked(self._lock):
            # What a run left that was ended while it wrote.
            for draft in self._path.parent.glob(f".{self._path.name}.*"):
                draft.unlink(missing_ok=True)
            write_parts_durably(self._path, parts)
