"""Looks at files as the system under a root would see them, and at nothing outside of it.

A path is walked one name at a time, each opened without following a link; a link is then followed
by hand, one that begins with `/` from the root again. So neither a link nor a change meanwhile
leads out, and a chroot or an image answers for itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

MAX_LINKS = 40
_PIECE = 1 << 20
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
PRIVATE = frozenset(
    tuple(path.split("/"))
    for path in ("dev", "home", "proc", "root", "run/user", "sys", "tmp", "var/tmp")
)
"""Nobody's business, not the same twice, or shown to the agent's own service as something else."""


class NotTold(Exception):
    """Whether it is there, or what it is, cannot be said."""


@dataclass(slots=True)
class _Walk:
    """The folders on the way, opened, and their names."""

    handles: list[int]
    names: list[str] = field(default_factory=list)

    def enter(self, name: str, handle: int) -> None:
        self.handles.append(handle)
        self.names.append(name)

    def is_private(self, name: str) -> bool:
        return (*self.names, name) in PRIVATE

    def leave(self) -> None:
        """Go one folder up; above the root there is only the root."""
        if self.names:
            os.close(self.handles.pop())
            self.names.pop()

    def restart(self) -> None:
        while self.names:
            self.leave()

    def close(self) -> None:
        for handle in self.handles:
            os.close(handle)


class Root:
    """The files under a root. Paths may begin with `/`; it means the root."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def status(self, path: str) -> os.stat_result | None:
        """Return what is known of a file or folder; None: it is not there.

        Raises:
            NotTold
        """
        with self._opened(path) as handle:
            return None if handle is None else os.fstat(handle)

    def content(self, path: str, *, at_most: int) -> bytes | None:
        """Return a file's content; None: it is not there, or no file.

        Raises:
            NotTold: it cannot be read, or is longer.
        """
        with self._opened(path) as handle:
            if handle is None or not _is_file(handle):
                return None
            return b"".join(_pieces(handle, at_most))

    def digest(self, path: str, *, at_most: int) -> tuple[str, int] | None:
        """Return a file's SHA-256 and how many bytes were read; else as `content`."""
        made, size = sha256(), 0
        with self._opened(path) as handle:
            if handle is None or not _is_file(handle):
                return None
            for piece in _pieces(handle, at_most):
                made.update(piece)
                size += len(piece)
        return made.hexdigest(), size

    def link(self, path: str) -> str | None:
        """Return where a link itself leads, unread further; None: it is none."""
        folder, _, name = path.rpartition("/")
        try:
            with self._opened(folder) as handle:
                return None if handle is None else os.readlink(name, dir_fd=handle)
        except (OSError, NotTold):
            return None

    def names(self, path: str) -> list[str]:
        """Return what a folder holds; nothing where it cannot be looked into."""
        try:
            with self._opened(path) as handle:
                return [] if handle is None else sorted(p.name for p in _again(handle).iterdir())
        except (OSError, NotTold):
            return []

    @contextmanager
    def _opened(self, path: str) -> Iterator[int | None]:
        try:
            handle = self._walked(path)
        except (FileNotFoundError, NotADirectoryError):
            handle = None
        except (OSError, ValueError) as error:
            raise NotTold from error
        try:
            yield handle
        finally:
            if handle is not None:
                os.close(handle)

    def _walked(self, path: str) -> int:
        walk = _Walk([os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)])
        ahead, links = _steps(path), 0
        try:
            while ahead:
                name = ahead.pop()
                if name == "..":
                    walk.leave()
                    continue
                if walk.is_private(name):
                    raise NotTold
                handle = os.open(name, _HANDLE, dir_fd=walk.handles[-1])
                if not stat.S_ISLNK(os.fstat(handle).st_mode):
                    walk.enter(name, handle)
                    continue
                links += 1
                target = _target(handle)
                if links > MAX_LINKS:
                    raise NotTold
                if target.startswith("/"):
                    walk.restart()
                ahead += _steps(target)
            return walk.handles.pop()
        finally:
            walk.close()


def _steps(path: str) -> list[str]:
    """Return the names on the way, the first one last."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _target(handle: int) -> str:
    try:
        return os.readlink("", dir_fd=handle)
    finally:
        os.close(handle)


def _is_file(handle: int) -> bool:
    return stat.S_ISREG(os.fstat(handle).st_mode)


def _again(handle: int) -> Path:
    """Return a name under which the same thing can be opened for reading."""
    return Path(f"/proc/self/fd/{handle}")


def _pieces(handle: int, at_most: int) -> Iterator[bytes]:
    """Yield a file's content. Raises NotTold when it is longer, or cannot be read."""
    left = at_most
    try:
        if os.fstat(handle).st_size > at_most:
            raise NotTold
        with _again(handle).open("rb", buffering=0) as opened:
            while piece := opened.read(min(_PIECE, left + 1)):
                left -= len(piece)
                if left < 0:
                    raise NotTold
                yield piece
    except OSError as error:
        raise NotTold from error
