"""A folder that looks like the root of an Enterprise Linux, its database written by rpm itself."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from tests.simulator.apt_repository import tool
from tests.simulator.rpm_repository import Rpm, build

OS_RELEASE = (
    'ID="toylinux"\nVERSION_ID="9.4"\nID_LIKE="rhel centos fedora"\nPRETTY_NAME="Toy Linux 9.4"\n'
)


class RpmRoot:
    """A system that was never started; `restart` gives it a running kernel's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "var/lib/rpm"
        self.database.mkdir(parents=True)
        self._built = 0
        self.write("usr/lib/os-release", OS_RELEASE)
        self.write("etc/hostname", "toy\n")
        self._rpm("--initdb")

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def restart(self, *, at: int = 1_700_000_000) -> None:
        self.write("proc/sys/kernel/random/boot_id", f"{uuid4()}\n")
        self.write("proc/stat", f"cpu 1 2 3\nbtime {at}\n")

    def put(self, *packages: Rpm, beside: bool = False) -> None:
        """Install packages in place of other versions, or beside them. Only rpm knows of it."""
        aside = self.folder.with_name(f"{self.folder.name}-packages")
        for package in packages:
            self._built += 1
            made = build([package], aside, top=aside / f"made{self._built}")
            how = ("--install", "--force") if beside else ("--upgrade", "--oldpackage")
            self._rpm(*how, "--justdb", "--nodeps", "--noscripts", "--ignorearch", *map(str, made))

    def take(self, name: str) -> None:
        self._rpm("--erase", "--justdb", "--nodeps", "--noscripts", name)

    def trust(self, keys: Path) -> None:
        """Have rpm take a vendor's keys."""
        self._rpm("--import", str(keys))

    def _rpm(self, *words: str) -> None:
        tool("rpm", f"--dbpath={self.database}", *words)
