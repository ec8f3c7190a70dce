"""The file in which a node keeps its view of the fleet; it may be deleted at any time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path

from patchtide.adapters.trust.durable import locked_if_free, private_folder, write_parts_durably


def kept_view(home: Path) -> Path:
    """Return where a node keeps it."""
    return home / "fleet" / "view"


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

    def age_s(self) -> float:
        try:
            return max(0.0, time.time() - self._path.stat().st_mtime)
        except FileNotFoundError:
            return math.inf

    def write(self, parts: Iterable[bytes]) -> None:
        with locked_if_free(self._lock) as is_free:
            if not is_free:
                return  # another node is writing what is as good
            # What a run left that was ended while it wrote.
            for draft in self._path.parent.glob(f".{self._path.name}.*"):
                draft.unlink(missing_ok=True)
            write_parts_durably(self._path, parts)
