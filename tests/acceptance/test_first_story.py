"""The story of the walls: a thousand machines over real TLS, and as many as tell on PostgreSQL.

They enrol, fetch a shard of 3,000 leaves, report; the shard changes, they fetch the delta and
report the difference. Then the server is killed while they report, and nothing that it
acknowledged is lost.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from patchtide.entry.simulator.fleet import Fleet, Plan
from patchtide.wire.sets import decode_set
from tests.simulator.living import live, told
from tests.simulator.site_process import SiteProcess, site

LEAVES, CHANGED = 3000, 40
# Their number is proven on one database; on the other no more of them come at once than so.
MACHINES = {"sqlite": 1000, "postgresql": 250}


def a_fleet(server: SiteProcess, folder: Path, machines: int) -> Fleet:
    token = server.tell(f"token {machines}")["token"]
    fleet = Fleet(Plan(url=server.url, token=token, machines=machines, hours=0, threads=4), folder)
    assert max(fleet.enrol()) == machines
    return fleet


@pytest.mark.timeout(600)
def test_many_machines_report_and_report_the_difference(
    database_without_tables: str, tmp_path: Path
) -> None:
    machines = MACHINES[database_without_tables.partition(":")[0]]
    with site(tmp_path / "home", database_without_tables, burst="1000") as server:
        server.tell(f"publish {LEAVES}")
        fleet = a_fleet(server, tmp_path, machines)
        live(fleet, 0.5)
        first = server.tell("states")

        assert first["machines"] == machines
        assert first["unknown"] == 0
        assert first["digests"] == told(fleet)
        assert first["required"] + first["installed"] == machines * 300
        check_against_the_machines(fleet, first)

        before = fleet.tally.counts["report: Taken"]
        gone = server.tell(f"drop {CHANGED}")["gone"]
        live(fleet, 1.5)
        second = server.tell("states")

        assert second["digests"] == told(fleet)
        assert second["required"] + second["installed"] == first["required"] + first[
            "installed"
        ] - expected_to_go(fleet, len(gone))
        reported = fleet.tally.counts["report: Taken"] - before
        assert reported >= len([m for m in fleet.machines if loses_some(m, CHANGED)])
        assert second["audit"] == "None"
        assert len(set(second["changes"])) == machines


def check_against_the_machines(fleet: Fleet, said: dict[str, Any]) -> None:
    """Count what the machines need from their packages alone, without any rule."""
    required = sum(
        packages[0].version == "1.0-1"
        for machine in fleet.machines
        for found in machine.platform.facts().packages.values()
        for packages in found.values()
    )
    assert said["required"] == required


def loses_some(machine: Any, dropped: int) -> bool:
    return held_of(machine, dropped) > 0


def held_of(machine: Any, dropped: int) -> int:
    gone = {f"pkg-{number}" for number in range(dropped)}
    return sum(len(gone & set(found)) for found in machine.platform.facts().packages.values())


def expected_to_go(fleet: Fleet, dropped: int) -> int:
    return sum(held_of(machine, dropped) for machine in fleet.machines)


@pytest.mark.timeout(300)
def test_a_killed_server_has_lost_nothing_that_it_acknowledged(
    database_without_tables: str, tmp_path: Path
) -> None:
    home, port = tmp_path / "home", 0
    with site(home, database_without_tables, burst="1000") as server:
        port = server.port
        server.tell("publish 300")
        fleet = a_fleet(server, tmp_path, 60)
        live(fleet, 0.5)
        server.kill()
    live(fleet, 1.5)

    with site(home, database_without_tables, port=port, burst="1000") as server:
        survived = server.tell("states")
        assert survived["digests"] == told(fleet)
        assert survived["audit"] == "None"
        server.tell("publish 50")
        live(fleet, 1.5)
        assert server.tell("states")["digests"] == told(fleet)


def test_required_sets_on_the_wire_are_what_machines_hold(tmp_path: Path) -> None:
    with site(tmp_path / "home", f"sqlite:///{tmp_path}/home/patchtide.db") as server:
        server.tell("publish 100")
        fleet = a_fleet(server, tmp_path, 3)
        live(fleet, 0.5)

    for machine in fleet.machines:
        known = machine.journal.acknowledged()
        assert known is not None
        old = {
            name
            for packages in machine.platform.facts().packages.values()
            for name, found in packages.items()
            if found[0].version == "1.0-1" and int(name.removeprefix("pkg-")) < 100
        }
        needed = decode_set(known.required)
        assert len(needed) == len(old) > 0
        assert {number - needed[0] for number in needed} == offsets(old)


def offsets(names: set[str]) -> set[int]:
    """Return where the packages stand after the first: numbers are allotted in their order."""
    places = sorted(int(name.removeprefix("pkg-")) for name in names)
    return {place - places[0] for place in places}
