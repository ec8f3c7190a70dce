"""One machine's agent, driven by its command line as an administrator drives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import Always, Comparison, PackageFormat, PackageInstalled
from patchtide.domain.catalog.updates import LeafFile, Origin, Revision, UpdateId, UpdateNumber
from tests.simulator.site_server import Site

ROOT = Path(__file__).resolve().parents[2]
MACHINE_ID = "0123456789abcdef" * 2


def a_leaf(number: int, package: str, version: str) -> Leaf:
    """Needed where the package is there, done where it is at least of this version."""
    present = PackageInstalled(PackageFormat.DEB, package)
    done = PackageInstalled(PackageFormat.DEB, package, Comparison.AT_LEAST, version)
    return Leaf(
        number=UpdateNumber(number),
        revision=Revision(1),
        update=UpdateId(UUID(int=number)),
        title=f"{package} {version}",
        prerequisite=Always(),
        applicable=present,
        installed=done,
        origin=Origin("publisher"),
        files=(LeafFile(name=package, version=version, sha256=bytes(32), size_bytes=1),),
    )


@dataclass
class Agent:
    """One machine's agent, by its command line."""

    folder: Path
    platform: str = ""
    answers: tuple[tuple[str, tuple[str, ...], bool | str], ...] = ()
    """What the machine says to facts that rules ask for."""

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.state = self.folder / "state"
        self.machine_id = self.folder / "machine-id"
        self.machine_id.write_text(MACHINE_ID + "\n")
        self.machine = self.folder / "machine.json"
        self.set_packages(openssl="3.0.1", curl="8.0")

    def set_packages(self, **versions: str) -> None:
        described = {
            "os_id": "debian",
            "os_version": "12",
            "packages": versions,
            "answers": self.answers,
        }
        self.machine.write_text(json.dumps(described))

    def command(self, name: str, *options: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "patchtide.entry.agent",
            name,
            "--state",
            str(self.state),
            *options,
        ]

    def working(self, name: str) -> list[str]:
        options = [
            "--platform",
            self._platform(),
            "--machine-id-file",
            str(self.machine_id),
        ]
        return self.command(name, *options)

    def run(self, command: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=60, env=environment()
        )

    def enrol(self, site: Site, token: str = "") -> subprocess.CompletedProcess[str]:
        options = [
            "--server",
            site.url,
            "--token-file",
            "-",
            "--machine-id-file",
            str(self.machine_id),
            "--platform",
            self._platform(),
        ]
        return self.run(self.command("enrol", *options), given=(token or site.token) + "\n")

    def explain(self, update: str, *options: str) -> subprocess.CompletedProcess[str]:
        platform = self._platform()
        return self.run(self.command("explain", update, "--platform", platform, *options))

    def once(self) -> subprocess.CompletedProcess[str]:
        return self.run(self.working("once"))

    def status(self) -> dict[str, object]:
        done = self.run(self.command("status", "--platform", self._platform(), "--json"))
        return dict(json.loads(done.stdout))

    def doctor(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run([*self.working("doctor"), *options])

    def _platform(self) -> str:
        return self.platform or f"simulated:{self.machine}"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
