"""Which platform a machine is: that of the package tool which has installed something there."""

from __future__ import annotations

from pathlib import Path

from patchtide.adapters.platforms import dpkg, rpm
from patchtide.adapters.platforms.apt import AptPlatform
from patchtide.adapters.platforms.dnf import DnfPlatform
from patchtide.adapters.platforms.linux import System

LinuxPlatform = AptPlatform | DnfPlatform
_OF_RPM = frozenset({"rhel", "centos", "fedora", "suse", "opensuse", "mageia", "openmandriva"})


def linux_machine(name: str) -> LinuxPlatform:
    """Return what `apt`, `dnf` or `auto` names, of this machine or, after a colon, of a folder."""
    kind, _, where = name.partition(":")
    root = Path(where or "/")
    match kind:
        case "apt":
            return AptPlatform(root)
        case "dnf":
            return DnfPlatform(root)
        case _:
            return platform_at(root)


def platform_at(root: Path) -> LinuxPlatform:
    """Return the platform of the system under `root`.

    Where both tools have a database the system's family decides: dpkg and rpm are packages too,
    each to be had on the other's systems. Where none has, apt's platform says what it misses.
    """
    if rpm.database(root) is None:
        return AptPlatform(root)
    if not (root / dpkg.ADMIN_FOLDER / "status").is_file():
        return DnfPlatform(root)
    said = System(root).os_release()
    family = {said.get("ID", ""), *said.get("ID_LIKE", "").split()}
    return AptPlatform(root) if _OF_RPM.isdisjoint(family) else DnfPlatform(root)
