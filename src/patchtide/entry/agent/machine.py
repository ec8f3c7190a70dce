"""Which machine the agent looks at. Loads neither TLS nor trust, for looking needs no server."""

from __future__ import annotations

from pathlib import Path

from patchtide.adapters.platforms.machines import LinuxPlatform, linux_machine
from patchtide.adapters.platforms.simulated import SimulatedPlatform, read_machine
from patchtide.agent.ports.content import Content


def machine_of(platform: str, content: Content | None = None) -> LinuxPlatform | SimulatedPlatform:
    """Return what `--platform` names: auto, apt, dnf, each with a :ROOT, or simulated:FILE.

    Raises:
        InvalidDocument: the file describes no machine.
    """
    kind, _, where = platform.partition(":")
    return read_machine(Path(where), content) if kind == "simulated" else linux_machine(platform)
