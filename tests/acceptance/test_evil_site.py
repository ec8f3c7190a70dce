"""Whoever owns the server and every online key changes nothing on a machine, and is named (S01).

The agent is the one that machines run: `patchtide agent once`, a process with a state folder.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from patchtide.wire.leaves import encode_leaf
from patchtide.wire.messages import EventV1
from tests.simulator.evil_site import (
    ATTACKS,
    FEED_SIGNED,
    MACHINE,
    NGINX_6,
    Attack,
    EvilSite,
)
from tests.simulator.site_server import running

ROOT = Path(__file__).resolve().parents[2]
Catalog = dict[str, list[tuple[object, ...]]]
OFFLINE = ("root", "targets", "publisher", "agent")


@dataclass
class Agent:
    folder: Path

    def run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "patchtide.entry.agent", *arguments]
        command += ["--state", str(self.folder / "state")]
        command += ["--machine-id-file", str(self.folder / "machine-id")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        return subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=60, env=environment
        )

    def once(self) -> subprocess.CompletedProcess[str]:
        return self.run("once", "--platform", f"simulated:{self.folder / 'machine.json'}")

    def packages(self) -> dict[str, str]:
        return dict(json.loads((self.folder / "machine.json").read_text())["packages"])

    def floors(self) -> dict[str, object]:
        """Return the floors of the offline roles and of packages."""
        with closing(sqlite3.connect(self.folder / "state/trust/floors.db")) as database:
            roles = database.execute("SELECT name, version FROM role").fetchall()
            packages = database.execute("SELECT * FROM package ORDER BY 1").fetchall()
        return {"packages": packages, "roles": sorted(r for r in roles if r[0] in OFFLINE)}

    def catalog(self) -> Catalog:
        with closing(sqlite3.connect(self.folder / "state/journal.db")) as database:
            rows = database.execute("SELECT * FROM leaf ORDER BY 1, 2").fetchall()
        found: Catalog = {}
        for row in rows:
            found.setdefault(str(row[0]), []).append(row)
        return found

    def untold(self) -> list[EventV1]:
        with closing(sqlite3.connect(self.folder / "state/journal.db")) as database:
            rows = database.execute("SELECT body FROM event").fetchall()
        return [msgspec.msgpack.decode(row[0], type=EventV1) for row in rows]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvilSite]:
    with running(tmp_path_factory.mktemp("evil") / "site", EvilSite) as started:
        yield started


@pytest.fixture(scope="module")
def in_use(site: EvilSite, tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """A machine that has already installed what the site honestly offered."""
    agent = Agent(tmp_path_factory.mktemp("machine"))
    (agent.folder / "machine-id").write_text("0123456789abcdef" * 2)
    (agent.folder / "machine.json").write_text(json.dumps(MACHINE))
    done = agent.run("enrol", "--server", site.url, "--token-file", "-", given=site.token + "\n")
    assert done.returncode == 0, done.stderr
    done = agent.once()
    assert done.returncode == 0, done.stderr
    assert agent.packages() == {"nginx": "5", "own": "2"}, codes(site, agent)
    return agent


@pytest.fixture
def agent(in_use: Agent, tmp_path: Path) -> Agent:
    """A copy of that machine, with a state folder of its own."""
    shutil.copytree(in_use.folder, tmp_path / "copy")
    return Agent(tmp_path / "copy")


def codes(site: EvilSite, agent: Agent, since: int = 0) -> list[tuple[str, str]]:
    """Return what the agent has said of itself: told already, or still waiting to be told."""
    told = [event for report in site.reports[since:] for event in report.events]
    return [(event.code, event.detail) for event in (*told, *agent.untold())]


def test_an_honest_offer_is_installed(site: EvilSite, agent: Agent) -> None:
    with site.put_back():
        site.offer()

        done = agent.once()

        assert done.returncode == 0, done.stderr
        assert agent.packages() == {"nginx": "6", "own": "2"}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_the_machine_stays_as_it_is_and_says_why(
    site: EvilSite, agent: Agent, attack: Attack
) -> None:
    before = agent.packages(), agent.floors()
    catalog, told = agent.catalog(), len(site.reports)
    code, reason = ATTACKS[attack]

    with site.put_back():
        attack(site)
        done = agent.once()
        said = codes(site, agent, told)

    assert done.returncode in (0, 1, 3) and "Traceback" not in done.stderr, done.stderr
    assert (agent.packages(), agent.floors()) == before
    assert agent.catalog()["custom"] == catalog["custom"]
    assert is_honest(agent.catalog(), catalog) or attack in FEED_SIGNED
    assert [c for c, detail in said if c == code and reason in detail], said


def is_honest(now: Catalog, before: Catalog) -> bool:
    """Say whether the feed's shard is as it was, or has the vendor's next update in it."""
    honest = encode_leaf(NGINX_6)
    changed = [row for row in now["debian-12"] if row not in before["debian-12"]]
    return all(row[1:] == (honest.number, honest.revision, honest.body) for row in changed)
