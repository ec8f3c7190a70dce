"""Server and agents as processes, each killed at random moments (F36, I2, I3, I6, I7).

One seeded story: the site publishes, agents are rung and check in, fetch, scan and report, and in
the midst of it one of them is killed with `kill -9`, children included, and started again. After
each kill: what the agent knows to be acknowledged is what the server has, floors, counters and
serials never went back, change numbers are whole, and both stores are intact. In the end everybody
agrees. Ten kills by default; PATCHTIDE_TORTURE_ROUNDS asks for more.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.simulator.site_process import SiteProcess, site

KILLS = int(os.environ.get("PATCHTIDE_TORTURE_ROUNDS", "10"))
ROOT = Path(__file__).resolve().parents[2]
AGENTS = 2
AGREE_S = 60.0


@dataclass
class Agent:
    """One machine: `patchtide agent run`, in a group of processes of its own."""

    folder: Path
    client: bytes = b""
    process: subprocess.Popen[bytes] | None = None
    seen: dict[str, int] = field(default_factory=dict)
    """The highest value of everything that may only rise."""

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.state = self.folder / "state"
        (self.folder / "machine-id").write_text(
            f"{random.Random(str(self.folder)).getrandbits(128):032x}"
        )
        packages = {f"pkg-{n}": "1.0-1" if n % 2 else "1.1-1" for n in range(400)}
        described = {"os_id": "debian", "os_version": "12", "shards": ["debian-12"]}
        (self.folder / "machine.json").write_text(json.dumps({**described, "packages": packages}))

    def command(self, name: str, *options: str) -> list[str]:
        command = [sys.executable, "-m", "patchtide.entry.agent", name, "--state", str(self.state)]
        return [*command, "--machine-id-file", str(self.folder / "machine-id"), *options]

    def enrol(self, server: SiteProcess, token: str) -> None:
        options = ["--server", server.url, "--token-file", "-"]
        done = subprocess.run(
            self.command("enrol", *options),
            input=token + "\n",
            capture_output=True,
            text=True,
            env=environment(),
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        self.client = UUID(done.stdout.split()[2].rstrip(";")).bytes

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command("run", "--platform", f"simulated:{self.folder / 'machine.json'}"),
            env=environment(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def ring(self) -> None:
        assert self.process is not None
        # A loop that has just begun has no handler yet, and a hang-up would end it.
        with contextlib.suppress(ProcessLookupError):
            if _handles_hangup(self.process.pid):
                self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """End the loop and whatever child it has, as a power cut would."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def known(self) -> dict[str, Any]:
        """Return what the journal holds, read at one moment."""
        with closing(sqlite3.connect(self.state / "journal.db", timeout=20)) as database:
            database.execute("BEGIN")
            acknowledged = database.execute("SELECT digest FROM acknowledged").fetchone()
            pending = database.execute("SELECT counter, digest, whole FROM pending").fetchone()
            counter = database.execute("SELECT next FROM counter").fetchone()
            serials = dict(database.execute("SELECT name, serial FROM shard").fetchall())
            intact = database.execute("PRAGMA integrity_check").fetchone()
        return {
            "acknowledged": acknowledged[0] if acknowledged else b"",
            "pending": pending,
            "counter": counter[0] if counter else 0,
            "serials": serials,
            "intact": intact == ("ok",),
        }

    def floors(self) -> dict[str, int]:
        path = self.state / "trust" / "floors.db"
        if not path.exists():
            return {}
        with closing(sqlite3.connect(path, timeout=20)) as database:
            return dict(database.execute("SELECT name, version FROM role").fetchall())

    def rises(self, **values: int) -> None:
        """Everything that is given may only rise from one call to the next."""
        for name, value in values.items():
            assert value >= self.seen.get(name, 0), f"{name} went from {self.seen[name]} to {value}"
            self.seen[name] = value


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def _handles_hangup(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    [caught] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) & 1 << signal.SIGHUP - 1)


@dataclass
class Site:
    """The server, which can be killed and comes back at the same address."""

    home: Path
    port: int = 0
    process: SiteProcess | None = None
    published: int = 0
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def database(self) -> Path:
        return self.home / "patchtide.db"

    def start(self) -> SiteProcess:
        started = site(self.home, f"sqlite:///{self.database}", port=self.port, burst="1000")
        self.process = self._stack.enter_context(started)
        self.port = self.process.port
        return self.process

    def stop(self) -> None:
        self._stack.close()

    def publish(self, dice: random.Random) -> None:
        assert self.process is not None
        serial = self.process.tell(f"publish {dice.randint(1, 5)}")["serial"]
        assert serial > self.published, "a serial was given twice"
        self.published = serial

    def rows(self) -> dict[bytes, dict[str, Any]]:
        """Return every machine's state by its UUID, as the database has it now."""
        with closing(sqlite3.connect(self.database, timeout=20)) as database:
            database.row_factory = sqlite3.Row
            database.execute("BEGIN")
            found = database.execute(
                "SELECT c.uuid AS uuid, s.counter AS counter, s.digest AS digest,"
                " s.change AS change FROM client_state s JOIN client c ON c.number = s.client"
                " WHERE s.change > 0"
            ).fetchall()
            [ticket] = database.execute("SELECT max(n) FROM ticket").fetchone()
            [intact] = database.execute("PRAGMA integrity_check").fetchone()
        assert intact == "ok"
        changes = [row["change"] for row in found]
        assert len(set(changes)) == len(changes), "a change number was given twice"
        assert max(changes, default=0) <= ticket, "a change number lies beyond the ticket"
        return {bytes(row["uuid"]): dict(row) for row in found}

    def check(self, agent: Agent) -> None:
        known = agent.known()
        row = self.rows().get(agent.client)
        assert known["intact"]
        agent.rises(
            counter=known["counter"], **{f"shard {n}": s for n, s in known["serials"].items()}
        )
        agent.rises(**{f"floor of {role}": version for role, version in agent.floors().items()})
        if row is None:
            assert not known["acknowledged"], "the server lost a report that it had acknowledged"
            return
        agent.rises(**{"counter at the server": row["counter"], "change": row["change"]})
        assert row["counter"] < known["counter"]
        pending = known["pending"]
        if pending is None:
            assert bytes(row["digest"]) == known["acknowledged"]
        elif not pending[2]:
            assert bytes(row["digest"]) in (known["acknowledged"], pending[1])


@pytest.fixture
def story(tmp_path: Path) -> Iterator[tuple[Site, list[Agent]]]:
    server = Site(tmp_path / "home")
    agents = [Agent(tmp_path / f"agent-{n}") for n in range(AGENTS)]
    try:
        process = server.start()
        process.tell("publish 150")
        token = process.tell(f"token {AGENTS}")["token"]
        for agent in agents:
            agent.enrol(process, token)
            agent.start()
        yield server, agents
    finally:
        for agent in agents:
            if agent.process is not None:
                agent.kill()
        server.stop()


def agree(server: Site, agents: list[Agent]) -> bool:
    rows = server.rows()
    return all(
        agent.client in rows
        and (known := agent.known())["pending"] is None
        and known["acknowledged"] == bytes(rows[agent.client]["digest"])
        and known["serials"].get("debian-12") == server.published
        for agent in agents
    )


def until_all_agree(server: Site, agents: list[Agent]) -> Sequence[object]:
    """Return nothing once they do; else what the server published, and what each side knows."""
    until = time.monotonic() + AGREE_S
    while time.monotonic() < until:
        with contextlib.suppress(sqlite3.OperationalError):  # a journal that is not made yet
            if agree(server, agents):
                return []
        for agent in agents:
            agent.ring()
        time.sleep(1.0)
    rows = server.rows()
    return [server.published, *((agent.known(), rows.get(agent.client)) for agent in agents)]


@pytest.mark.timeout(120 + 15 * KILLS)
def test_whoever_is_killed_nothing_acknowledged_is_lost_and_nothing_goes_back(
    story: tuple[Site, list[Agent]],
) -> None:
    server, agents = story
    dice = random.Random("killed processes")
    assert server.process is not None
    server.publish(dice)
    assert until_all_agree(server, agents) == []

    for _ in range(KILLS):
        server.publish(dice)
        for agent in agents:
            agent.ring()
        time.sleep(dice.uniform(0.0, 1.6))
        killed = dice.choice(["server", *range(AGENTS)])
        if killed == "server":
            server.process.kill()
            for agent in agents:
                server.check(agent)
            server.start()
        else:
            agent = agents[int(killed)]
            agent.kill()
            server.check(agent)
            agent.start()

    assert until_all_agree(server, agents) == []
    for agent in agents:
        server.check(agent)
    assert server.process.tell("states")["audit"] == "None"
