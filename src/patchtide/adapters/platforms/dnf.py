"""A system of RPM packages under a root, as the agent sees it. So far it is only looked at.

Red Hat's, its kin's and SUSE's: what is installed rpm says for all of them. Modules and the need
of a restart are dnf's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from patchtide.adapters.platforms import commands, dnf_modules, dnf_restart, rpm
from patchtide.adapters.platforms.onlooker import Onlooker, Row
from patchtide.adapters.platforms.rpm_condition import Condition, condition
from patchtide.adapters.platforms.rpm_vendors import RpmVendors
from patchtide.domain.catalog.rules import PackageFormat


class DnfPlatform(Onlooker):
    """The package database is read once, and again only after it has changed."""

    format = PackageFormat.RPM

    def __init__(self, root: Path = Path("/"), *, run: commands.Run = commands.run) -> None:
        super().__init__(root)
        self._run = run
        self._read: tuple[tuple[object, ...], list[rpm.Installed]] | None = None

    def condition(self) -> Condition:
        """Return what an administrator should know of rpm's own state."""
        return condition(self._root, self._run)

    def vendors(self) -> RpmVendors:
        """Return what verifies the signatures over repositories' indexes, where there are any."""
        os_id = self._system.os_release().get("ID", "")
        return RpmVendors(os_id, self._architecture() or "", root=self._root, run=self._run)

    def _rows(self) -> list[Row]:
        return [(row.name, row.version, row.architecture) for row in self._installed()]

    def _architecture(self) -> str | None:
        return rpm.own_architecture(self._installed())

    def _modules(self) -> Mapping[str, str] | None:
        return dnf_modules.followed(self._root)

    def _restart_pending(self) -> bool:
        return dnf_restart.restart_pending(self._system, self._installed())

    def _installed(self) -> list[rpm.Installed]:
        # Before it is read: a change meanwhile is seen at the next look.
        stamp = rpm.stamp(self._root)
        if self._read is None or self._read[0] != stamp:
            self._read = stamp, rpm.installed(self._root, self._run)
        return self._read[1]
