"""What the site told its agent to go by, in a file of the state folder: its owner's alone."""

from __future__ import annotations

import errno
from pathlib import Path

from patchtide.adapters.agentstate.folder import write_durably
from patchtide.agent.ports.journal import JournalFailed, NoSpace

NAME = "settings"


class KeptSettings:
    def __init__(self, state: Path) -> None:
        self._path = state / NAME

    def load(self) -> bytes:
        return read_kept(self._path.parent)

    def keep(self, data: bytes) -> None:
        """Raises JournalFailed, NoSpace: it could not be stored."""
        try:
            write_durably(self._path, data)
        except OSError as error:
            kind = NoSpace if error.errno in (errno.ENOSPC, errno.EDQUOT) else JournalFailed
            raise kind(f"{self._path}: {error.strerror}") from error


def read_kept(state: Path) -> bytes:
    """Return what is there; the site tells again what is not, or cannot be read."""
    try:
        return (state / NAME).read_bytes()
    except OSError:
        return b""
