"""Whether a machine runs what was replaced, as `dnf needs-restarting --reboothint` decides it.

Some packages are used by everything, so one of them that was installed after the machine came up
is in use in its older version. An administrator may name more of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from patchtide.adapters.platforms.linux import System
from patchtide.adapters.platforms.rpm import Installed

CORE = frozenset(
    {
        *("kernel", "kernel-core", "kernel-rt", "linux-firmware", "microcode_ctl"),
        *("glibc", "systemd", "dbus", "dbus-broker", "dbus-daemon"),
    }
)
FOLDER = "etc/dnf/plugins/needs-restarting.d"


def restart_pending(system: System, found: Iterable[Installed]) -> bool:
    """Say whether it waits for a restart; what is not booted waits for none."""
    booted = system.booted_at()
    if booted is None:
        return False
    named = CORE.union(_named(system))
    return any(row.at > booted and row.name in named for row in found)


def _named(system: System) -> Iterable[str]:
    """Yield what the administrator named, a package in a line."""
    for name in system.names(FOLDER):
        if name.endswith(".conf"):
            yield from map(str.rstrip, (system.text(f"{FOLDER}/{name}") or "").split("\n"))
