"""A system in a folder that the real dnf installs, updates and judges."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.simulator.apt_repository import tool
from tests.simulator.rpm_repository import RpmRepository

needs_dnf_host = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("dnf"), reason="needs root and dnf"
)


@dataclass(kw_only=True)
class DnfHost:
    """What dnf does to the system under `root`, from one repository."""

    root: Path
    repository: RpmRepository

    def install(self, *packages: str, on: str = "") -> None:
        """Install packages; `on` a day long ago, or now."""
        clock = ("faketime", on) if on else ()
        tool(*clock, *self._command("install", *packages))

    def upgrade(self, *words: str) -> None:
        tool(*self._command("upgrade", *words))

    def follow(self, stream: str) -> None:
        tool(*self._command("module", "enable", stream))

    def listed(self, *words: str) -> set[str]:
        """Return the advisories that `dnf updateinfo list` names."""
        said = tool(*self._command("--quiet", "updateinfo", "list", *words)).decode()
        return {line.split()[0] for line in said.splitlines() if line.strip()}

    def needs_restarting(self) -> bool:
        """Return what the plugin says of the packages here, beside this very machine's start."""
        plugins = ("--disableplugin=*", "--enableplugin=needs_restarting")
        asked = self._command("needs-restarting", "--reboothint", plugins=plugins)
        done = subprocess.run(asked, capture_output=True, check=False)
        said = done.stdout.decode()
        assert ("Reboot is required" in said) is (done.returncode == 1), done
        assert ("Reboot should not be necessary" in said) is (done.returncode == 0), done
        return done.returncode == 1

    def _command(self, *words: str, plugins: tuple[str, ...] = ("--noplugins",)) -> list[str]:
        home = self.root.with_name(f"{self.root.name}-home")
        home.mkdir(exist_ok=True)
        # Debian's rpm has its database in the home folder, every other one here.
        (home / ".rpmmacros").write_text("%_dbpath /var/lib/rpm\n")
        return [
            "env", f"HOME={home}", "dnf", "--assumeyes", "--refresh", "--nogpgcheck", *plugins,
            f"--installroot={self.root}", "--releasever=9", "--forcearch=x86_64",
            "--setopt=module_platform_id=platform:el9", f"--setopt=cachedir={home}/cache",
            f"--setopt=reposdir={home}/none", "--setopt=metadata_expire=0",
            f"--repofrompath=toys,{self.repository.uri}", *words,
        ]  # fmt: skip
