"""What takes long to make and several stories need."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.simulator.agent_package import ROOT, build, fetch_libraries


@pytest.fixture(scope="session")
def package_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all workers of a run."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "agent-package"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def libraries(package: Path, package_folder: Path) -> Path:
    """The folder with the wheels that the agent needs."""
    return package_folder / "libraries"


@pytest.fixture(scope="session")
def package(package_folder: Path) -> Path:
    """The agent's Debian package, alone in its folder: made by whoever needs it first."""
    with (package_folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = package_folder / "done"
        if not done.exists():
            fetched = package_folder / "libraries"
            fetch_libraries(fetched)
            wheelhouse = package_folder / "wheelhouse"
            shutil.copytree(fetched, wheelhouse, dirs_exist_ok=True)
            done.write_text(str(build(ROOT, wheelhouse)))
        return Path(done.read_text())
