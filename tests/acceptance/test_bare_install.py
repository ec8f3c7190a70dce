"""The bare package is the agent: it installs and runs without the server's libraries.

The wheel is built, put into a fresh environment with nothing but the agent's pinned
requirements, and every module that an agent may need is imported there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = (
    "domain",
    "wire",
    "agent",
    "adapters/trust",
    "adapters/transport",
    "adapters/agentstate",
    "adapters/platforms",
    "entry/agent",
)
NOT_ITS_OWN = ("domain/compliance", "domain/collections")
"""Count over a whole fleet: the server's, with its libraries."""
SERVERS = ("sqlalchemy", "alembic", "starlette", "uvicorn", "pyroaring", "cyclopts", "psycopg")
UNREACHABLE = re.compile(r"ConnectionError|Connection refused|timed out|resolve|Name or service")


def call(*command: str | Path) -> subprocess.CompletedProcess[str]:
    # The tree's own sources must not stand in for what was installed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", env=environment
    )


def install(python: Path, *what: str | Path) -> None:
    done = call(python, "-m", "pip", "install", "--quiet", *what)
    if done.returncode and UNREACHABLE.search(done.stderr):
        pytest.skip("needs the package index, which cannot be reached")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and the agent's requirements."""
    folder = tmp_path_factory.mktemp("bare")
    built = call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, ROOT)
    assert built.returncode == 0, built.stderr
    assert call(sys.executable, "-m", "venv", folder / "venv").returncode == 0
    interpreter = folder / "venv/bin/python"
    install(interpreter, "--require-hashes", "-r", ROOT / "requirements/agent.txt")
    install(interpreter, "--no-deps", *folder.glob("*.whl"))
    return interpreter


def modules(parts: Sequence[str]) -> list[str]:
    source = ROOT / "src"
    return sorted(
        ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
        for part in parts
        for path in (source / "patchtide" / part).glob("**/*.py")
        if path.stem != "__main__" and not any(part in path.as_posix() for part in NOT_ITS_OWN)
    )


def test_the_agent_starts_and_explains_itself(python: Path) -> None:
    done = call(python.parent / "patchtide", "agent", "--help")

    assert done.returncode == 0, done.stderr
    assert "agent" in done.stdout


def test_every_module_of_the_agent_is_there_and_imports(python: Path) -> None:
    wanted = modules(PARTS)
    imports = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"

    done = call(python, "-c", imports, *wanted)

    assert done.returncode == 0, done.stderr
    assert "patchtide.entry.agent" in wanted


def test_none_of_the_servers_libraries_is_installed(python: Path) -> None:
    listed = call(python, "-m", "pip", "list", "--format=json")
    names = {entry["name"].lower() for entry in json.loads(listed.stdout)}

    assert "patchtide" in names
    assert names & set(SERVERS) == set()
    assert call(python, "-m", "pip", "check").returncode == 0
