"""Whoever holds the view of a fleet is killed at any point, and counts right when it is back."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from patchtide.adapters.storage import Storage
from patchtide.entry.server.fleet_file import FleetFile
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_checkpoint import read
from patchtide.server.fleet_view import View
from patchtide.wire.sets import decode_set
from tests.simulator.catalogs import Catalog, a_leaf
from tests.simulator.clock import FakeClock
from tests.simulator.reports import NOON, enrolled
from tests.torture.fleet_victim import MACHINES, UPDATES

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("PATCHTIDE_TORTURE_ROUNDS", "10")) // 10
Counts = dict[int, tuple[int, int]]
"""By update: how many machines require it, and how many have it."""


def plainly_counted(storage: Storage) -> Counts:
    required, installed = Counter[int](), Counter[int]()
    for row in storage.states():
        required.update(decode_set(row.required))
        installed.update(decode_set(row.installed))
    return {number: (required[number], installed[number]) for number in range(1, UPDATES + 1)}


def counted(view: View) -> Counts:
    return {
        update.leaves[0].number: ((tally := view.tally_of(update)).required, tally.installed)
        for update in view.updates.values()
    }


def victim(url: str, folder: Path, seed: str, where: str, count: int) -> int:
    command = [sys.executable, "-m", "tests.torture.fleet_victim"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    return subprocess.run(
        [*command, url, str(folder), seed, where, str(count)],
        env=environment,
        cwd=ROOT,
        timeout=60,
    ).returncode


@pytest.mark.timeout(60 + 60 * ROUNDS)
async def test_whoever_is_killed_with_the_fleet_in_hand_counts_plainly_right_afterwards(
    storage: Storage, database_url: str, tmp_path: Path
) -> None:
    catalog = Catalog(storage)
    await catalog.publish([a_leaf(number, f"package{number}") for number in range(1, UPDATES + 1)])
    await enrolled(storage, MACHINES)
    dice, folder = random.Random("killed followers"), tmp_path / "fleet"
    written = 0

    for number in range(ROUNDS):
        for where, most in (("follow", 6), ("write", 20), ("renamed", 3)):
            count = dice.randint(most // 2, most)
            ended = victim(database_url, folder, f"{number} {where}", where, count)

            assert ended == -signal.SIGKILL
            file = FleetFile(folder / "view")
            fleet = Fleet(storage, catalog, FakeClock(NOON), patience_s=10, keeping=file)
            assert fleet.ask(counted) == plainly_counted(storage)
            data = file.read()
            # Whatever was being written: what is there is whole, and never older than before.
            assert data is not None
            reported = read(data).reported.n
            assert written <= reported <= storage.epoch().n
            written = reported
