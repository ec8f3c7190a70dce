"""The process that is killed while it holds the view of a fleet: it follows it and writes it down.

    python -m tests.torture.fleet_victim URL FOLDER SEED WHERE COUNT

The database and the file are the product's own. Every round some machines report, the view follows
them and is written down. At the COUNT-th time that it comes to WHERE - `follow`: rows are read and
not yet put into the view; `write`: a part of the file is written; `renamed`: the file is in its
place, and nothing else was done since - it kills itself as a power cut would.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from patchtide.adapters.storage import Storage
from patchtide.entry.server.fleet_file import FleetFile
from patchtide.server.fleet import Fleet
from tests.simulator.catalogs import Catalog, a_scan
from tests.simulator.clock import FakeClock
from tests.simulator.reports import NOON

MACHINES, UPDATES, ROUNDS = 12, 6, 50


class Fate:
    """Strikes at the count-th time that something comes to the place."""

    def __init__(self, where: str, count: int) -> None:
        self._where = where
        self._left = count

    def at(self, where: str) -> None:
        if where == self._where:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


class Store:
    """The storage, whose rows are read on the way to the view."""

    def __init__(self, storage: Storage, fate: Fate) -> None:
        self._storage = storage
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def states_of(self, clients: Sequence[int]) -> object:
        found = self._storage.states_of(clients)
        self._fate.at("follow")
        return found


class Keeping:
    def __init__(self, folder: Path, fate: Fate) -> None:
        self._file = FleetFile(folder / "view")
        self._fate = fate

    def read(self) -> bytes | None:
        return self._file.read()

    def age_s(self) -> float:
        return self._file.age_s()

    def write(self, parts: Iterable[bytes]) -> None:
        self._file.write(self._parts(parts))
        self._fate.at("renamed")

    def _parts(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        for part in parts:
            yield part
            self._fate.at("write")


async def run(url: str, folder: Path, seed: str, fate: Fate) -> None:
    dice, storage = random.Random(seed), Storage.open(url)
    catalog = Catalog(storage, serial=1, held=set(range(1, UPDATES + 1)))
    fleet = Fleet(
        Store(storage, fate),  # type: ignore[arg-type]
        catalog,
        FakeClock(NOON),
        patience_s=10,
        keeping=Keeping(folder, fate),
    )
    known = {row.client: row.counter for row in storage.states()}
    for _ in range(ROUNDS):
        some = dice.sample(range(1, MACHINES + 1), 4)
        reports = []
        for number in some:
            known[number] = known.get(number, 0) + 1
            here = dice.sample(range(1, UPDATES + 1), 4)
            scan = a_scan(number, known[number], serial=1, required=here[:2], installed=here[2:])
            reports.append(scan)
        await storage.accept(reports, now=NOON.timestamp())
        fleet.keep_up()
        fleet.save()


if __name__ == "__main__":
    url, folder, seed, where, count = sys.argv[1:]
    asyncio.run(run(url, Path(folder), seed, Fate(where, int(count))))
