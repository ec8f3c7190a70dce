"""A folder that looks like the root of a Debian system, read by the platform's real tools."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'


class DebianRoot:
    """A system that was never started; `restart` gives it a running kernel's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._packages: dict[str, str] = {}
        for name in ("info", "updates"):
            (folder / "var/lib/dpkg" / name).mkdir(parents=True)
        self.write("usr/lib/os-release", OS_RELEASE)
        self.write("etc/hostname", "toy\n")
        self._write_packages()

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def restart(self) -> None:
        self.write("proc/sys/kernel/random/boot_id", f"{uuid4()}\n")

    def put_package(
        self, name: str, version: str, *, status: str = "install ok installed", more: str = ""
    ) -> None:
        self._packages[name] = (
            f"Package: {name}\nStatus: {status}\nMaintainer: Toys <toys@invalid>\n"
            f"Architecture: amd64\nVersion: {version}\n{more}Description: {name}\n"
        )
        self._write_packages()

    def _write_packages(self) -> None:
        text = "\n".join(self._packages.values())
        # As dpkg does it: a new file in place of the old one.
        self.write("var/lib/dpkg/status-new", text).replace(self.folder / "var/lib/dpkg/status")
