"""A folder like a Debian system's root as far as apt looks: its sources, its keys, its lists."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

from tests.simulator.apt_repository import AptRepository, apt_folder, tool


class DebianSources:
    """The sources name the archive's release and its security suite."""

    def __init__(self, root: Path, archive: AptRepository) -> None:
        self.root = root
        self.lists = root / "var/lib/apt/lists"
        keyring = root / "usr/share/keyrings/vendor.gpg"
        keyring.parent.mkdir(parents=True)
        archive.key.keyring(keyring)
        suites = ("bookworm", "bookworm-security")
        lines = [f"deb [signed-by={keyring}] {archive.uri} {suite} main" for suite in suites]
        apt_folder(root / "etc/apt", *lines)

    def update(self) -> None:
        """Have apt itself fetch its lists."""
        for name in ("var/lib/apt/lists/partial", "var/cache/apt", "var/lib/dpkg"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "var/lib/dpkg/status").touch()
        options = {"Dir": self.root, "APT::Sandbox::User": "root", "Dir::Bin::methods": METHODS}
        words = [f"-o{name}={value}" for name, value in options.items()]
        tool("apt-get", *words, "-oAPT::Update::Error-Mode=any", "update")

    def age(self, span: timedelta) -> None:
        """Have the last update been so long ago."""
        then = time.time() - span.total_seconds()
        os.utime(self.lists / "partial", (then, then))


METHODS = "/usr/lib/apt/methods"
