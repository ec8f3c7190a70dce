"""Holds other updaters of this machine back, and changes nothing of theirs.

The agent's package brings a drop-in for each of their services: systemd passes the service over
while the agent's mark is there. So to take them over is to make one file in the agent's own
folder, for which it needs no right, and to give them back is to remove it. Without the package
there are no drop-ins, and nothing is held, whatever the folder has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from patchtide.adapters.platforms.linux import System
from patchtide.adapters.platforms.other_updaters import configured
from patchtide.agent.ports.takeover import TakeoverFailed

STATE = "var/lib/patchtide/agent"
MARK = "others-held"
DROP_IN = "50-patchtide.conf"
CONDITION = f"ConditionPathExists=!/{STATE}/{MARK}"
SERVICES = {
    "unattended-upgrades": ("apt-daily-upgrade.service",),
    "dnf-automatic": (
        *("dnf-automatic.service", "dnf-automatic-install.service"),
        "dnf5-automatic.service",
    ),
}
"""What PackageKit has prepared somebody at the machine asked for; that is left to them."""
_NO_CONDITIONS = re.compile(r"\s*Condition\w+\s*=\s*")
_FOLDERS = (
    *("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system"),
    *("usr/lib/systemd/system", "lib/systemd/system"),
)
"""In the order in which a file hides others of its name from systemd."""


class OtherUpdaters:
    """Those of the system under a root, for the agent whose folder is there."""

    def __init__(self, root: Path, state: Path) -> None:
        self._root = root
        self._mark = state / MARK

    def at_work(self) -> tuple[str, ...]:
        return at_work(self._root, System(self._root))

    def taken(self) -> tuple[str, ...]:
        return taken(self._root, System(self._root))

    def hold(self, *, wanted: bool) -> None:
        """Make the mark or remove it; one that a power cut took is made again by the next.

        Raises:
            TakeoverFailed
        """
        try:
            if wanted:
                self._mark.touch(mode=0o600)
            else:
                self._mark.unlink(missing_ok=True)
        except OSError as error:
            raise TakeoverFailed(f"{self._mark}: {error.strerror}") from error


def at_work(root: Path, system: System) -> tuple[str, ...]:
    held = set(_held(system))
    return tuple(code for code in configured(root, system) if code not in held)


def taken(root: Path, system: System) -> tuple[str, ...]:
    held = set(_held(system))
    return tuple(code for code in configured(root, system) if code in held)


def _held(system: System) -> Iterator[str]:
    """Yield whose services systemd passes over by now."""
    if system.exists(f"{STATE}/{MARK}"):
        for code, services in SERVICES.items():
            if all(_is_conditional(system, service) for service in services):
                yield code


def _is_conditional(system: System, service: str) -> bool:
    """Say whether our condition is among the service's in the end.

    An administrator may put a file in the place of ours, or take all conditions back after it.
    """
    found = _drop_ins(system, service)
    later = (lines for name, lines in found.items() if name > DROP_IN)
    return CONDITION in found.get(DROP_IN, ()) and not any(
        _NO_CONDITIONS.fullmatch(line) for lines in later for line in lines
    )


def _drop_ins(system: System, service: str) -> dict[str, list[str]]:
    """Return the lines of each drop-in: that of a name that systemd finds first hides others."""
    stem = service.removesuffix(".service")
    # Whatever begins so has drop-ins in common, as have all services.
    common = [f"{stem[: place + 1]}.service" for place, char in enumerate(stem) if char == "-"]
    found: dict[str, list[str]] = {}
    for unit in (service, *reversed(common), "service"):
        for folder in _FOLDERS:
            for name in system.names(f"{folder}/{unit}.d"):
                if name.endswith(".conf") and name not in found:
                    found[name] = (system.text(f"{folder}/{unit}.d/{name}") or "").splitlines()
    return found
