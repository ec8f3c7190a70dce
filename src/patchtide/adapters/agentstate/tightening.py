"""Closes all that lies in a state folder, and is its owner's, to everybody else.

Root does it in a folder that another user may write, who may put anything in the place of what was
just looked at: so each thing is held open, by no link, and what is changed is what is held. What
belongs to another is left: to hand it over could hand over what came here under another name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HELD = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
OWNERS_ALONE = 0o700
DEEPEST = 32
"""No folder of the agent's own lies deeper; each that is entered is held open."""


def tighten(state: Path) -> list[str]:
    """Return what was changed; what cannot be is left as it is."""
    owner = state.lstat()
    with _entered(str(state)) as held:
        if held is None:
            return []
        own = [str(state)] if _tightened(".", held, owner) else []
        return own + list(_below(str(state), held, owner, DEEPEST))


def _below(path: str, folder: int, owner: os.stat_result, deeper: int) -> Iterator[str]:
    for name in sorted(os.listdir(folder)):
        if _tightened(name, folder, owner):
            yield f"{path}/{name}"
        with _entered(name, folder) as held:
            if held is not None and deeper:
                yield from _below(f"{path}/{name}", held, owner, deeper - 1)


@contextmanager
def _entered(name: str, above: int | None = None) -> Iterator[int | None]:
    """Hold a folder open, by no link; what is none by now, or is closed, is not entered."""
    try:
        held = os.open(name, _HELD | os.O_DIRECTORY, dir_fd=above)
    except OSError:
        yield None
        return
    try:
        yield held
    finally:
        os.close(held)


def _tightened(name: str, folder: int, owner: os.stat_result) -> bool:
    try:
        if not _is_ours(os.stat(name, dir_fd=folder, follow_symlinks=False)):
            return False  # to open a device may do something
        held = os.open(name, _HELD, dir_fd=folder)
    except OSError:
        return False
    try:
        return _changed(held, owner)
    except OSError:
        return False
    finally:
        os.close(held)


def _changed(held: int, owner: os.stat_result) -> bool:
    seen = os.fstat(held)
    if not _is_ours(seen) or seen.st_uid != owner.st_uid or not seen.st_mode & 0o077:
        return False
    os.fchmod(held, seen.st_mode & OWNERS_ALONE)
    return True


def _is_ours(seen: os.stat_result) -> bool:
    """Say whether it is a folder, or a file that has no other name elsewhere."""
    return stat.S_ISDIR(seen.st_mode) or (stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1)
