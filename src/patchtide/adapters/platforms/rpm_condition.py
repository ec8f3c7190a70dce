"""What is wrong with an rpm database, and who is at work on it."""

from __future__ import annotations

import fcntl
import os
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from patchtide.adapters.platforms import rpm
from patchtide.adapters.platforms.commands import Run
from patchtide.adapters.platforms.linux import System

LOCK = ".rpm.lock"
_LOCK = "hhqqi4x"
"""`struct flock`: type, whence, start, length, process."""
SIDE_BY_SIDE = (
    *("installonlypkg(kernel)", "installonlypkg(kernel-module)", "installonlypkg(vm)"),
    *("multiversion(kernel)", "kernel", "kernel-PAE"),
)
"""What dnf installs beside the older version; a package provides one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`doubled`: packages that are there twice, since something ended a transaction half way."""

    doubled: tuple[str, ...]
    holder: str
    """Who changes the database now, as `dnf (process 4711)`; empty: nobody."""


def condition(root: Path, run: Run) -> Condition:
    """Look at the system under `root`; nothing is changed, and no lock is taken.

    Raises:
        CommandFailed: its database cannot be read.
    """
    return Condition(doubled=tuple(sorted(_doubled(root, run))), holder=_holder(root))


def _doubled(root: Path, run: Run) -> Iterator[str]:
    counted = Counter((row.name, row.architecture) for row in rpm.installed(root, run))
    several = {pair for pair, times in counted.items() if times > 1}
    if several:
        form = "--queryformat=%{NAME}\\t%{ARCH}\\n"
        _, said = rpm.query(root, run, form, "--whatprovides", *SIDE_BY_SIDE)
        several -= {(name, arch) for name, _, arch in (x.partition("\t") for x in said)}
    yield from {name for name, _ in several}


def _holder(root: Path) -> str:
    """Return whose write lock rpm's own lock file bears. To ask takes no lock."""
    asked = struct.pack(_LOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with ((rpm.database(root) or root) / LOCK).open("rb") as file:
            said = fcntl.fcntl(file, fcntl.F_GETLK, asked)
    except OSError:
        return ""  # never made, or not to be seen: nobody knows of anybody
    kind, _, _, _, process = struct.unpack(_LOCK, said)
    if kind == fcntl.F_UNLCK:
        return ""
    name = (System(Path("/")).text(f"proc/{process}/comm") or "somebody").strip()
    return f"{name} (process {process})"
