"""A Debian system that lacks one fix, and the archive that has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.up.site import Up
from tests.simulator.apt_repository import AptRepository, SigningKey
from tests.simulator.debian_root import DebianRoot
from tests.simulator.debian_sources import DebianSources

SECURITY = "bookworm-security"
CHANGELOG = """\
toy (1.0-1+deb12u1) bookworm-security; urgency=high

  * CVE-2026-12345 and CVE-2026-12346

 -- T <t@t>  Mon, 02 Mar 2026 12:00:00 +0000
"""


@pytest.fixture(scope="module")
def key() -> Iterator[SigningKey]:
    with SigningKey("vendor") as made:
        yield made


@pytest.fixture
def archive(tmp_path: Path, key: SigningKey) -> AptRepository:
    return an_archive(tmp_path / "archive", key)


def an_archive(folder: Path, key: SigningKey) -> AptRepository:
    made = AptRepository(folder=folder, key=key)
    for name in ("toy", "new", "absent"):
        made.add("bookworm", name, "1.0-1")
    made.add(SECURITY, "toy", "1.0-1+deb12u1", changelog=CHANGELOG)
    made.add(SECURITY, "new", "1.0-1+deb12u1")
    made.add(SECURITY, "absent", "1.0-1+deb12u1")
    made.publish("bookworm", version="12.15", lives=None)
    made.publish(SECURITY, label="Debian-Security")
    return made


@pytest.fixture
def system(tmp_path: Path, archive: AptRepository) -> DebianRoot:
    return a_system(tmp_path / "root", archive)


def a_system(folder: Path, archive: AptRepository) -> DebianRoot:
    """`toy` lacks its fix, `new` has it, `absent` is not there."""
    made = DebianRoot(folder)
    DebianSources(made.folder, archive)
    made.put_package("dpkg", "1.21.22")
    made.put_package("toy", "1.0-1")
    made.put_package("new", "1.0-1+deb12u1")
    made.restart()
    return made


@pytest.fixture
def up(tmp_path: Path, system: DebianRoot) -> Up:
    return Up(tmp_path / "home", system.folder)
