"""What is wrong with a system's package tools themselves, as they say it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from patchtide.adapters.platforms.commands import CommandFailed, Run
from patchtide.adapters.platforms.dpkg import ADMIN_FOLDER, DPKG_QUERY

_FORMAT = "${Package}\\t${db:Status-Abbrev}\\n"
_SETTLED = frozenset("nci")
"""Not there, settings only, or installed; all else waits for dpkg to go on."""
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`interrupted`: dpkg was ended while it worked, and has not been told to go on."""

    broken: tuple[str, ...]
    """Packages that are half installed or half configured."""
    interrupted: bool
    lists_at: float | None
    """When apt last looked for updates; None: never."""


def condition(root: Path, run: Run) -> Condition:
    """Look at the system under `root`; nothing is changed.

    Raises:
        CommandFailed: its database cannot be read.
    """
    return Condition(
        broken=_halfway(root, run),
        interrupted=any((root / ADMIN_FOLDER / "updates").glob("[0-9]*")),
        lists_at=_looked_at(root / "var/lib/apt/lists"),
    )


def _halfway(root: Path, run: Run) -> tuple[str, ...]:
    """Not by `dpkg --audit`, to which a package without checksums is as bad as a broken one."""
    ended = run(
        [DPKG_QUERY, f"--admindir={root / ADMIN_FOLDER}", "--show", f"--showformat={_FORMAT}"],
        timeout_s=_TIMEOUT_S,
    )
    if ended.status != 0 or ended.truncated:
        said = ended.complaints
        raise CommandFailed(f"dpkg-query: {said[0] if said else ended.status}")
    rows = (line.partition("\t") for line in ended.lines)
    return tuple(sorted({name for name, _, status in rows if not _is_settled(status)}))


def _is_settled(status: str) -> bool:
    """Such as `ii `: what is wanted, what is, and whether it must be installed anew."""
    return status[1:2] in _SETTLED and status[2:3].strip() == ""


def _looked_at(lists: Path) -> float | None:
    """apt works in `partial` whenever it looks, also when it finds nothing new."""
    if not any(lists.glob("*Packages*")):
        return None
    partial = lists / "partial"
    return (partial if partial.is_dir() else lists).stat().st_mtime
