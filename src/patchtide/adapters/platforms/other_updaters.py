"""Others that install updates on a Linux system by themselves, as its files say.

Two that install the same packages, each by its own windows and choices, undo what either is set to
do. Nothing is asked of systemd or of the tools, so a chroot or an image answers, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from patchtide.adapters.platforms.linux import System
from patchtide.adapters.platforms.linux_services import Services
from patchtide.adapters.platforms.rooted import Root

_PERIODIC = re.compile(r"^\s*APT::Periodic::(?P<name>[\w-]+)\s+\"(?P<value>[^\"]*)\"", re.MULTILINE)
_BRACES = re.compile(r"APT::Periodic\s*\{(?P<body>[^}]*)\}")
_IN_BRACES = re.compile(r"(?P<name>[\w-]+)\s+\"(?P<value>[^\"]*)\"")
_LINE_COMMENTS = re.compile(r"(?m)^\s*(//|#).*$")
_YES = re.compile(r"^\s*apply_updates\s*=\s*(yes|true|on|1)\s*$", re.MULTILINE | re.IGNORECASE)
_OFF = ("", "0")


def configured(root: Path, system: System) -> tuple[str, ...]:
    """Return who is to be at work, by the codes of `domain.findings`, in the alphabet's order."""
    return tuple(sorted(_configured(Root(root), system)))


def _configured(root: Root, system: System) -> Iterator[str]:
    services = Services(root, system)
    if _upgrades(system) and services.is_enabled("apt-daily-upgrade.timer"):
        yield "unattended-upgrades"
    if _dnf_automatic(services, system):
        yield "dnf-automatic"
    # PackageKit has prepared an update that the next start is to install.
    if root.link("system-update") is not None:
        yield "packagekit"


def _upgrades(system: System) -> bool:
    """Say whether apt is told to run it, and it is there."""
    if not system.exists("usr/bin/unattended-upgrade"):
        return False
    said = dict(_periodic(system))
    return said.get("Unattended-Upgrade", "") not in _OFF and said.get("Enable", "1") not in _OFF


def _periodic(system: System) -> Iterator[tuple[str, str]]:
    """Yield what apt is told to do by itself; what comes later holds, as for apt."""
    folder = "etc/apt/apt.conf.d"
    names = [f"{folder}/{name}" for name in system.names(folder) if _counts(name)]
    for name in (*names, "etc/apt/apt.conf"):
        text = _LINE_COMMENTS.sub("", system.text(name) or "")
        for found in _PERIODIC.finditer(text):
            yield found["name"], found["value"]
        for block in _BRACES.finditer(text):
            for found in _IN_BRACES.finditer(block["body"]):
                yield found["name"], found["value"]


def _counts(name: str) -> bool:
    """Say whether apt reads a file of this name."""
    stem, dot, ending = name.partition(".")
    return not dot or (ending == "conf" and bool(stem))


def _dnf_automatic(services: Services, system: System) -> bool:
    if services.is_enabled("dnf-automatic-install.timer"):
        return True
    timers = ("dnf-automatic.timer", "dnf5-automatic.timer")
    files = ("etc/dnf/automatic.conf", "etc/dnf/dnf5-plugins/automatic.conf")
    is_applied = any(_YES.search(system.text(name) or "") for name in files)
    return is_applied and any(services.is_enabled(timer) for timer in timers)
