"""What a machine costs on the wire (SCN-10): whole exchanges, counted behind a real agent.

Headers, metadata, TLS records and tags count; handshakes do not. The agent is the one that runs on
machines, with its state in a folder; each exchange is a run of its own, on a connection of its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec import structs

from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer.states import Brain
from patchtide.entry.agent.__main__ import main as agent
from patchtide.entry.agent.compose import composed
from tests.simulator.counting_proxy import Meter, counting_proxy
from tests.simulator.site_process import SiteProcess, site

FIRST_SCAN, MONTH, NOTHING_NEW = 500_000, 30_000, 1_000
A_PUBLICATION = 2_500
"""With the report of it: thirty of one update each are beyond a month's budget (ADR 0031)."""
LEAVES, NEW, DAYS = 3_000, 60, 30


@dataclass
class Machine:
    server: SiteProcess
    meter: Meter
    folder: Path

    def enrol(self) -> None:
        packages = {f"pkg-{n}": "1.0-1" if n % 3 else "1.1-1" for n in range(0, 3060, 10)}
        described = {"os_id": "debian", "os_version": "12", "shards": ["debian-12"]}
        (self.folder / "machine.json").write_text(json.dumps({**described, "packages": packages}))
        (self.folder / "machine-id").write_text("0123456789abcdef" * 2)
        token = self.folder / "token"
        token.write_text(self.server.tell("token 1")["token"] + "\n")
        options = ["--state", self.folder / "state", "--server", self.server.url]
        options += ["--token-file", token, "--machine-id-file", self.folder / "machine-id"]
        assert agent(["enrol", *map(str, options)]) == 0

    def exchange(self, *, after_a_day: bool = False) -> int:
        """Let the agent do what is due; return the bytes on the wire."""
        self.meter.reset()
        with composed(
            self.folder / "state",
            platform=f"simulated:{self.folder / 'machine.json'}",
            machine_id_file=self.folder / "machine-id",
            check=False,
        ) as core:
            core.start()
            if after_a_day:
                memory = structs.replace(core.state.memory, refresh_at=time.time())
                core._state = Brain(memory, core.state.phase)
            core.step(ev.Rung())
            assert core.state.memory.failures == 0
        self.meter.settle()
        assert self.meter.connections == 1
        return self.meter.total


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("wire")
    with metered_site(folder) as (server, meter):
        server.tell(f"publish {LEAVES}")
        machine = Machine(server, meter, folder)
        machine.enrol()
        yield machine


@contextmanager
def metered_site(folder: Path) -> Iterator[tuple[SiteProcess, Meter]]:
    database = f"sqlite:///{folder}/home/patchtide.db"
    with (
        site(folder / "home", database, host="127.0.0.2", burst="1000") as server,
        counting_proxy(server.port, behind="127.0.0.2") as meter,
    ):
        yield server, meter


def test_a_first_scan_a_month_and_nothing_new_keep_their_budgets(machine: Machine) -> None:
    first = machine.exchange()
    reported = machine.server.tell("states")
    after_first, nothing = machine.exchange(), machine.exchange()

    month = 0
    for _ in range(1, DAYS):
        machine.server.tell("sign")
        month += machine.exchange(after_a_day=True) - nothing
    right_after_a_day = machine.exchange()
    machine.server.tell(f"publish {NEW}")
    month += machine.exchange(after_a_day=True)

    said = machine.server.tell("states")
    assert (reported["machines"], said["machines"]) == (1, 1)
    assert said["required"] + said["installed"] > reported["required"] + reported["installed"] > 0
    assert nothing <= NOTHING_NEW
    assert right_after_a_day <= NOTHING_NEW
    assert first <= FIRST_SCAN
    assert month <= MONTH
    print(
        f"first {first}, then {after_first}, nothing {nothing}, {right_after_a_day}, month {month}"
    )


def test_many_publications_are_caught_up_with_without_fetching_all_again(machine: Machine) -> None:
    machine.exchange()
    for _ in range(NEW // 2):
        machine.server.tell("publish 2")

    caught_up = machine.exchange()

    assert caught_up <= MONTH
    print(f"{NEW} in {NEW // 2} publications {caught_up}")


def test_a_publication_a_day_costs_a_machine_little_more_than_what_is_new(machine: Machine) -> None:
    for _ in range(2):
        machine.exchange()
    nothing = machine.exchange()
    costs = []
    for _ in range(5):
        machine.server.tell("publish 1")
        costs.append(machine.exchange() - nothing)
    assert max(costs) <= A_PUBLICATION
    print(f"a publication of one update a day costs {costs}")
