"""The agent's own service, where it came as a package: is it started with the machine?"""

from __future__ import annotations

from pathlib import Path

from patchtide.adapters.platforms.commands import CommandFailed, run
from patchtide.adapters.platforms.linux import System
from patchtide.adapters.platforms.linux_services import Services
from patchtide.adapters.platforms.rooted import NotTold, Root
from patchtide.adapters.platforms.taken_over import STATE

UNIT = "patchtide-agent.service"
ENABLED, DISABLED, MASKED = "enabled", "disabled", "masked"
START_LIMIT_S = 120.0
_SYSTEMCTL = "/usr/bin/systemctl"
_SYSTEM, _MASK = Path("/"), "/dev/null"


def standing(root: Path, state: Path) -> str:
    """Return how the service stands by its files; empty: nobody can say, or it is no package's."""
    try:
        return _standing(Root(root), root) if state == root / STATE else ""
    except NotTold:
        return ""


def _standing(here: Root, root: Path) -> str:
    services = Services(here, System(root))
    if not services.is_installed(UNIT):
        return ""
    if here.link(f"etc/systemd/system/{UNIT}") == _MASK:
        return MASKED
    return ENABLED if services.is_enabled(UNIT) else DISABLED


def start(root: Path) -> None:
    """Have it started, now and with the machine.

    Raises:
        CommandFailed: systemd does not do it, or this is not the machine that runs.
    """
    if root != _SYSTEM:
        raise CommandFailed(f"{root} is not the system that runs")
    done = run([_SYSTEMCTL, "enable", "--now", UNIT], timeout_s=START_LIMIT_S)
    if done.status:
        raise CommandFailed(f"systemctl: {(done.complaints or ['it failed'])[-1]}")
