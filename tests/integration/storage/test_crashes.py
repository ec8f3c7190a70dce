"""Killed at random while it takes reports: what was acknowledged is there, and nothing is torn."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from patchtide.adapters.storage import Storage
from tests.simulator.databases import Postgres, postgres
from tests.simulator.reports import digest_of, enrolled

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]
REPORTER = Path(__file__).with_name("reporter.py")
CLIENTS = 12


def start(url: str, clients: list[int]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(REPORTER), url, *map(str, clients)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )


def reported_until(
    url: str, clients: list[int], kill: Callable[[int], None], after_s: float
) -> str:
    """Let a process report, kill something, and return all that it promised before it ended."""
    process = start(url, clients)
    assert process.stdout is not None
    said = b""
    for line in process.stdout:
        said += line
        if line == b"beside\n":
            break  # from here on a process beside it is at work
    time.sleep(after_s)
    kill(process.pid)
    rest, errors = process.communicate(timeout=30)
    assert said, errors.decode()
    return (said + rest).decode()


async def check(url: str, promised: dict[int, int], since: int) -> None:
    storage = Storage.open(url)
    rows = {row.client: row for row in storage.states()}
    assert all(rows[client].counter >= counter for client, counter in promised.items())
    assert all(r.digest == digest_of([r.counter], [r.client]) for r in rows.values())
    cursor = replace(storage.epoch(), n=since)
    changes = [d.change for d in storage.deltas(cursor, limit=10**6)[1]]
    changes += [d.change for d in storage.decided(cursor, limit=10**6)[1]]
    assert sorted(changes) == list(range(since + 1, storage.epoch().n + 1))
    assert storage.verify_audit() is None
    last = storage.audit(limit=10**6)[-1]
    assert storage.setting("decided") == str(last.detail["number"]).encode()
    await storage.close()


async def torment(url: str, rounds: list[tuple[Callable[[int], None], Callable[[], None]]]) -> None:
    chance = random.Random(url.partition(":")[0])
    storage = Storage.open(url)
    clients = [client.number for client in await enrolled(storage, CLIENTS)]
    since = storage.epoch().n
    await storage.close()
    promised: dict[int, int] = {}
    for kill, mend in rounds:
        said = reported_until(url, clients, kill, chance.uniform(0.05, 0.5))
        for client, counter in re.findall(r"^(\d+) (\d+)$", said, re.MULTILINE):
            promised[int(client)] = max(int(counter), promised.get(int(client), 0))
        mend()
        await check(url, promised, since)
    assert len(promised) == CLIENTS


def kill_the_process(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def kill_the_one_beside(pid: int) -> None:
    """Kill what stores the reports, and a moment later, when nobody does so any more, the rest."""
    [beside] = children_of(pid)
    os.kill(int(beside), signal.SIGKILL)
    time.sleep(0.2)
    kill_the_process(pid)


def children_of(pid: int) -> list[str]:
    lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return " ".join(lists).split()


async def test_sqlite_keeps_what_was_acknowledged_when_the_server_is_killed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/home/patchtide.db"

    kills = [kill_the_process, kill_the_one_beside, kill_the_process]
    await torment(url, [(kill, lambda: None) for kill in kills])


async def test_postgres_keeps_what_was_acknowledged_when_either_side_is_killed() -> None:
    with postgres() as server:

        def kill_the_database(pid: int) -> None:
            server.stop(signal.SIGKILL)

        rounds = [(kill, lambda: None) for kill in (kill_the_process, kill_the_one_beside)]
        await torment(server.create(), [*rounds, (kill_the_database, server.restart)])


def test_the_reporter_says_why_it_ends(postgres_server: Postgres) -> None:
    process = start(postgres_server.url("missing"), [1])

    assert process.wait(30) == 1
