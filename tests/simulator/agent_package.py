"""Builds the agent's Debian package as an administrator does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALLER = ROOT / "packaging/install-agent"
_UNREACHABLE = re.compile(r"ConnectionError|Connection refused|timed out|resolve|Name or service")


def call(*command: str | Path, umask: int = 0o022) -> str:
    """Run a command that must succeed; the tree's own sources stand in for nothing in it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, umask=umask
    )
    if done.returncode and _UNREACHABLE.search(done.stderr):
        pytest.skip("needs the package index, which cannot be reached")
    assert done.returncode == 0, done.stderr
    return done.stdout


def fetch_libraries(folder: Path) -> None:
    """Put the pinned wheels of everything that the agent needs into the folder."""
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes")
    call(*pip, "--only-binary", ":all:", "-r", ROOT / "requirements/agent.txt", "-d", folder)


def build(sources: Path, wheelhouse: Path, *, umask: int = 0o022) -> Path:
    """Return the package of these sources and the wheelhouse's libraries."""
    wheel = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", wheelhouse, sources]
    call(*wheel, umask=umask)
    options = ("--wheelhouse", wheelhouse, "--output", wheelhouse / "out")
    made = call(sys.executable, sources / "packaging/build_deb.py", *options, umask=umask)
    return Path(made.strip())
