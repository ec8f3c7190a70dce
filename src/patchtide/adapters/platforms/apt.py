"""A Debian or Ubuntu system under a root, as the agent sees it. So far it is only looked at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from patchtide.adapters.platforms import commands, dpkg
from patchtide.adapters.platforms.dpkg_condition import Condition, condition
from patchtide.adapters.platforms.linux import System
from patchtide.adapters.platforms.linux_answers import answers
from patchtide.agent.ports.platform import InstallFailed, Uptime
from patchtide.domain.applicability.facts import Asked, Facts, by_name
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.domain.catalog.updates import LeafFile
from patchtide.wire.inventory import HardwareV1, hardware, package_list

CUSTOM = "custom"
"""The shard that every machine follows."""


class ReportOnly(InstallFailed):
    """This agent looks at the machine and changes nothing."""

    code = "report-only"


class AptPlatform:
    """The system under `root`; `/` is the machine that this process runs on.

    The package database is read once, and again only after it has changed.
    """

    report_only = True

    def __init__(self, root: Path = Path("/"), *, run: dpkg.Run = commands.run) -> None:
        self._root = root
        self._run = run
        self._system = System(root)
        self._read: tuple[tuple[object, ...], list[dpkg.Row]] | None = None

    @property
    def shards(self) -> tuple[str, ...]:
        """Return the shards to follow: that of the release, and the one for everybody."""
        said = self._system.os_release()
        os_id, version = said.get("ID"), said.get("VERSION_ID")
        return (f"{os_id}-{version}", CUSTOM) if os_id and version else (CUSTOM,)

    def facts(self, asked: Collection[Asked] = ()) -> Facts:
        said, rows = self._system.os_release(), self._packages()
        return Facts(
            os_id=said.get("ID"),
            os_version=said.get("VERSION_ID"),
            architecture=_architecture(rows),
            language=self._system.language(),
            kernel=self._system.kernel() or None,
            packages={PackageFormat.DEB: by_name(rows)},
            answers=answers(asked, root=self._root, system=self._system) if asked else {},
        )

    def uptime(self) -> Uptime:
        versions = {name: version for name, version, _ in self._packages()}
        return Uptime(self._system.boot_id(), self._system.restart_pending(versions))

    def condition(self) -> Condition:
        """Return what an administrator should know of the package tools' own state."""
        return condition(self._root, self._run)

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

    def repair(self) -> None:
        """Nothing of ours is ever half done."""

    def restart(self) -> None:
        raise ReportOnly

    def inventory(self, kind: str) -> bytes | None:
        match kind:
            case "packages":
                return package_list(self._packages())
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
            architecture=_architecture(self._packages()) or "",
            model=system.model(),
            processors=system.processors(),
            memory_bytes=system.memory_bytes(),
            addresses=system.addresses(),
            services=system.services(),
        )

    def _packages(self) -> list[dpkg.Row]:
        # Before it is read: a change meanwhile is seen at the next look.
        stamp = dpkg.stamp(self._root)
        if self._read is None or self._read[0] != stamp:
            self._read = stamp, dpkg.installed(self._root, self._run)
        return self._read[1]


def _architecture(rows: Sequence[dpkg.Row]) -> str | None:
    """dpkg itself is always of the machine's own architecture."""
    return next((architecture for name, _, architecture in rows if name == "dpkg"), None)
