"""What the agent needs from the machine it runs on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from patchtide.domain.applicability.facts import Asked, Facts
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.updates import LeafFile
from patchtide.domain.errors import PatchtideError


class InstallFailed(PatchtideError):
    """The platform's package tool did not install everything."""

    code = "install-failed"


@dataclass(frozen=True, slots=True)
class Uptime:
    """Which start of the machine this is, and whether it waits for the next one."""

    boot_id: str
    restart_pending: bool


class FactSource(Protocol):
    def facts(self, asked: Collection[Asked] = ()) -> Facts:
        """Return what every machine tells, and the answers to what is asked for besides."""
        ...


class Platform(FactSource, Protocol):
    """A booted machine, an image, or a simulated one."""

    def uptime(self) -> Uptime: ...

    def wanted(self, leaves: Sequence[Leaf]) -> Sequence[LeafFile]:
        """Return the files that are to come from the site; the rest the platform has or gets."""
        ...

    def stage(self, leaves: Sequence[Leaf]) -> frozenset[int]:
        """Have everything at hand that `install` will need.

        Return the numbers of the leaves for which this machine itself has verified the vendor's
        signature over every file, and that each is by its vendor's own words the package, the
        version and the architecture that the leaf says: a feed may call an old package new.

        Raises:
            PatchtideError: something is missing.
        """
        ...

    def install(self, leaves: Sequence[Leaf]) -> None:
        """Bring what the leaves name onto the machine.

        Raises:
            InstallFailed: some of it could not be; `repair` and `facts` tell what is left.
        """
        ...

    def repair(self) -> None:
        """Make the package tool's state consistent; harmless when it is."""
        ...

    def restart(self) -> None: ...


class Inventory(Protocol):
    def inventory(self, kind: str) -> bytes | None:
        """Return the whole list of this kind; None: this machine keeps no such list."""
        ...
