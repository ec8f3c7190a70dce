"""systemd's services by their files: is there one, does it start by itself, does it run now?

Nothing is asked of systemd itself, so a chroot or an image answers too, except to the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from patchtide.adapters.platforms.linux import System
from patchtide.adapters.platforms.rooted import NotTold, Root

_NAME = re.compile(r"[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?", re.ASCII)
_SUFFIXES = (".service", ".socket", ".timer", ".target", ".path", ".mount")
_OWN = "etc/systemd/system"
_FOLDERS = (
    *(_OWN, "run/systemd/system", "usr/local/lib/systemd/system"),
    *("usr/lib/systemd/system", "lib/systemd/system"),
)
_MASK = "/dev/null"
_GROUPS = "sys/fs/cgroup"
_BOOTED = f"{_GROUPS}/init.scope"
_POPULATED = re.compile(r"^populated 1$", re.MULTILINE)


class Services:
    """The services of the system under a root, as they are at the first question."""

    def __init__(self, root: Root, system: System) -> None:
        self._root = root
        self._system = system
        self._wanted: frozenset[str] | None = None
        self._groups: Sequence[str] | None = None

    def is_installed(self, name: str) -> bool:
        """Raises NotTold."""
        return any(self._has(unit) for unit in self._units(name))

    def is_enabled(self, name: str) -> bool:
        """Say whether something wants it at the start, and nobody has forbidden it."""
        units = set(self._units(name))
        if any(self._root.link(f"{_OWN}/{unit}") == _MASK for unit in units):
            return False
        if self._wanted is None:
            self._wanted = frozenset(self._all_wanted())
        return not units.isdisjoint(self._wanted)

    def is_running(self, name: str) -> bool:
        """Say whether it has a process.

        Raises:
            NotTold: no systemd runs here.
        """
        if not self._system.exists(_BOOTED):
            raise NotTold
        if self._groups is None:
            self._groups = self._system.slices(_GROUPS)
        return any(
            _POPULATED.search(self._system.text(f"{group}/{unit}/cgroup.events") or "")
            for unit in self._units(name)
            for group in self._groups
        )

    def _all_wanted(self) -> Iterator[str]:
        for folder in _FOLDERS:
            for wanting in self._root.names(folder):
                if wanting.endswith((".wants", ".requires")):
                    yield from self._root.names(f"{folder}/{wanting}")

    def _has(self, unit: str) -> bool:
        template = re.sub(r"@.*(?=\.)", "@", unit)
        return any(
            self._root.status(f"{folder}/{name}") is not None
            for folder in _FOLDERS
            for name in {unit, template}
            if self._root.link(f"{folder}/{name}") != _MASK
        )

    def _units(self, name: str) -> Iterator[str]:
        """Yield the unit's name and, where that is another name for it, its own."""
        if not _NAME.fullmatch(name):
            return
        unit = name if name.endswith(_SUFFIXES) else f"{name}.service"
        yield unit
        for folder in _FOLDERS:
            own = (self._root.link(f"{folder}/{unit}") or "").rpartition("/")[2]
            if own.endswith(_SUFFIXES) and own != unit:
                yield own
