"""A site in this process, and a machine's agent beside it: enrolled, or idle in its loop."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulator.agent_command import Agent, a_leaf, environment
from tests.simulator.processes import children, wait_for
from tests.simulator.site_server import Site, running


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path / "site") as started:
        yield started


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path / "agent")


@pytest.fixture
def enrolled(agent: Agent, site: Site) -> Agent:
    done = agent.enrol(site)
    assert done.returncode == 0, done.stderr
    return agent


@pytest.fixture
def loop(enrolled: Agent, site: Site) -> Iterator[subprocess.Popen[str]]:
    """`patchtide agent run`, idle after its first report."""
    site.publish("custom", a_leaf(1, "openssl", "3.0.2"))
    with subprocess.Popen(
        enrolled.working("run"), stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        wait_for(lambda: bool(site.reports) and not children(process.pid))
        yield process
        process.kill()
