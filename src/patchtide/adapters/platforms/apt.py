"""A Debian or Ubuntu system under a root, as the agent sees it. So far it is only looked at."""

from __future__ import annotations

from pathlib import Path

from patchtide.adapters.platforms import commands, dpkg
from patchtide.adapters.platforms.apt_vendors import AptVendors
from patchtide.adapters.platforms.dpkg_condition import Condition, condition
from patchtide.adapters.platforms.onlooker import Onlooker, Row
from patchtide.domain.catalog.rules import PackageFormat


class AptPlatform(Onlooker):
    """The package database is read once, and again only after it has changed."""

    format = PackageFormat.DEB

    def __init__(self, root: Path = Path("/"), *, run: commands.Run = commands.run) -> None:
        super().__init__(root)
        self._run = run
        self._read: tuple[tuple[object, ...], list[Row]] | None = None

    def condition(self) -> Condition:
        """Return what an administrator should know of the package tools' own state."""
        return condition(self._root, self._run)

    def vendors(self) -> AptVendors:
        """Return what verifies the distribution's own signatures."""
        os_id = self._system.os_release().get("ID", "")
        return AptVendors(os_id, self._architecture() or "", root=self._root, run=self._run)

    def _architecture(self) -> str | None:
        """dpkg itself is always of the machine's own architecture."""
        return next((row[2] for row in self._rows() if row[0] == "dpkg"), None)

    def _restart_pending(self) -> bool:
        return self._system.restart_pending({name: version for name, version, _ in self._rows()})

    def _rows(self) -> list[Row]:
        # Before it is read: a change meanwhile is seen at the next look.
        stamp = dpkg.stamp(self._root)
        if self._read is None or self._read[0] != stamp:
            self._read = stamp, dpkg.installed(self._root, self._run)
        return self._read[1]
