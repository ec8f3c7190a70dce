"""Which machine the agent looks at. Loads neither TLS nor trust, for looking needs no server."""

from __future__ import annotations

from pathlib import Path

from patchtide.adapters.platforms.machines import LinuxPlatform, linux_machine
from patchtide.adapters.platforms.simulated import SimulatedPlatform, read_machine
from patchtide.adapters.platforms.taken_over import OtherUpdaters
from patchtide.agent.ports.content import Content
from patchtide.agent.ports.takeover import Takeover
from patchtide.agent.takeover import NobodyElse


def takeover_of(machine: LinuxPlatform | SimulatedPlatform, state: Path) -> Takeover:
    """Return who else installs updates there, for the agent with that folder to hold back."""
    if isinstance(machine, SimulatedPlatform):
        return NobodyElse()
    return OtherUpdaters(machine.root, state)


def root_of(machine: LinuxPlatform | SimulatedPlatform) -> Path | None:
    """Return the folder of the system that is looked at; None: it is only described."""
    return None if isinstance(machine, SimulatedPlatform) else machine.root


def machine_of(platform: str, content: Content | None = None) -> LinuxPlatform | SimulatedPlatform:
    """Return what `--platform` names: auto, apt, dnf, each with a :ROOT, or simulated:FILE.

    Raises:
        InvalidDocument: the file describes no machine.
    """
    kind, _, where = platform.partition(":")
    return read_machine(Path(where), content) if kind == "simulated" else linux_machine(platform)
