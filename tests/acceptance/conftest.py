"""What takes long to make and several stories need."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.simulator.agent_package import ROOT, build, fetch_libraries


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheels that the agent needs."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    fetch_libraries(folder)
    return folder


@pytest.fixture(scope="session")
def package(libraries: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent's Debian package, alone in its folder."""
    wheelhouse = tmp_path_factory.mktemp("one") / "wheelhouse"
    shutil.copytree(libraries, wheelhouse)
    return build(ROOT, wheelhouse)
