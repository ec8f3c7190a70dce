"""A Linux system under a root that is looked at and never changed, whatever its package tool is.

What the tool knows (packages, their architecture, whether a restart is due) is left to those who
derive from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from patchtide.adapters.platforms.linux import System
from patchtide.adapters.platforms.linux_answers import answers
from patchtide.adapters.platforms.taken_over import at_work
from patchtide.agent.ports.platform import InstallFailed, Uptime
from patchtide.domain.applicability.facts import Asked, Facts, by_name
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.domain.catalog.systems import shard_of
from patchtide.domain.catalog.updates import LeafFile
from patchtide.wire.inventory import HardwareV1, hardware, package_list

CUSTOM = "custom"
"""The shard that every machine follows."""

Row = tuple[str, str, str]
"""Name, version, architecture."""


class ReportOnly(InstallFailed):
    """This agent looks at the machine and changes nothing."""

    code = "report-only"


class Onlooker(ABC):
    """The system under `root`; `/` is the machine that this process runs on."""

    report_only = True
    format: ClassVar[PackageFormat]

    def __init__(self, root: Path) -> None:
        self._root = root
        self._system = System(root)

    @property
    def root(self) -> Path:
        return self._root

    @abstractmethod
    def _rows(self) -> Sequence[Row]:
        """Return what is installed.

        Raises:
            CommandFailed: nobody can say.
        """

    @abstractmethod
    def _architecture(self) -> str | None:
        """Return the machine's own, as its package tool calls it."""

    @abstractmethod
    def _restart_pending(self) -> bool: ...

    def _modules(self) -> Mapping[str, str] | None:
        """Return the stream that each package module follows; None: nobody can say."""
        return None

    @property
    def shards(self) -> tuple[str, ...]:
        """Return the shards to follow: that of the release, and the one for everybody."""
        said = self._system.os_release()
        os_id, version = said.get("ID"), said.get("VERSION_ID")
        if not os_id or not version:
            return (CUSTOM,)
        return (shard_of(os_id, version, said.get("ID_LIKE", "").split()), CUSTOM)

    def facts(self, asked: Collection[Asked] = ()) -> Facts:
        said = self._system.os_release()
        return Facts(
            os_id=said.get("ID"),
            os_version=said.get("VERSION_ID"),
            architecture=self._architecture(),
            modules=self._modules(),
            language=self._system.language(),
            kernel=self._system.kernel() or None,
            packages={self.format: by_name(self._rows())},
            answers=answers(asked, root=self._root, system=self._system) if asked else {},
        )

    def updaters(self) -> tuple[str, ...]:
        """Return who else installs updates here (domain.findings.UPDATERS)."""
        return at_work(self._root, self._system)

    def uptime(self) -> Uptime:
        return Uptime(self._system.boot_id(), self._restart_pending())

    def wanted(self, leaves: Sequence[Leaf]) -> Sequence[LeafFile]:
        del leaves
        return ()

    def stage(self, leaves: Sequence[Leaf]) -> frozenset[int]:
        """Nothing is at hand, and no vendor's signature was looked at.

        Raises:
            ReportOnly
        """
        raise ReportOnly

    def install(self, leaves: Sequence[Leaf]) -> None:
        raise ReportOnly

    def repair(self) -> None:  # noqa: B027 - there is never anything to do
        """Nothing of ours is ever half done."""

    def restart(self) -> None:
        raise ReportOnly

    def inventory(self, kind: str) -> bytes | None:
        match kind:
            case "packages":
                return package_list(self._rows())
            case "hardware":
                return hardware(self._hardware())
            case _:
                return None

    def _hardware(self) -> HardwareV1:
        system = self._system
        return HardwareV1(
            host_name=system.host_name(),
            system=system.os_release().get("PRETTY_NAME", ""),
            kernel=system.kernel(),
            architecture=self._architecture() or "",
            model=system.model(),
            processors=system.processors(),
            memory_bytes=system.memory_bytes(),
            addresses=system.addresses(),
            services=system.services(),
            time_zone=system.time_zone(),
        )


def when(path: Path) -> tuple[int, int, int] | None:
    """Return what is another thing whenever the file has changed; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
