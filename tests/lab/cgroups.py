"""Control groups: systemd in a host needs one apart from its neighbours'.

They are the one thing of a laboratory that does not end with the process it belongs to. So whoever
ends removes its own, and whoever comes next removes what a killed one has left.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PARENT = "patchtide-lab"


def hierarchies() -> tuple[Path, ...]:
    """Where systemd keeps its groups: version 2, the one named "systemd" of version 1, or both."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, kind = line.partition(" - ")
        file_system, _, options = kind.split(" ", 2)
        named = file_system == "cgroup" and "name=systemd" in options.split(",")
        if file_system == "cgroup2" or named:
            found.append(Path(place.split(" ")[4]))
    return tuple(found)


def enter(name: str) -> None:
    """Move this process into the group of that name in every hierarchy."""
    for top in hierarchies():
        group = top / PARENT / name
        while True:
            group.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # swept before anybody was in it
                (group / "cgroup.procs").write_text(str(os.getpid()))
                break


def leave() -> None:
    for top in hierarchies():
        (top / "cgroup.procs").write_text(str(os.getpid()))


def sweep() -> None:
    """Remove every host's groups that no process is in."""
    for group in (group for top in hierarchies() for group in (top / PARENT).glob("*/")):
        if any(_members(listing) for listing in group.rglob("cgroup.procs")):
            continue
        for place, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):  # somebody else sweeps too
                Path(place).rmdir()


def _members(listing: Path) -> str:
    try:
        return listing.read_text()
    except OSError:
        return ""  # the group has gone meanwhile
