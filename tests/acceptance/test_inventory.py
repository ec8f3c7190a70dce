"""Inventory from end to end over TLS: named, asked for, sent once, known of every machine."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from patchtide.entry.simulator.fleet import Fleet, Plan
from tests.simulator.living import live
from tests.simulator.site_process import SiteProcess, site

MACHINES, VARIANTS = 12, 3
DAYS_TO_NEXT_SCAN = 8
FACTS = 1
"""Besides packages each machine tells what its rules are asked of; here all say the same."""


def a_fleet(server: SiteProcess, folder: Path) -> Fleet:
    token = server.tell(f"token {MACHINES}")["token"]
    plan = Plan(
        url=server.url, token=token, machines=MACHINES, hours=0, threads=1, variants=VARIANTS
    )
    fleet = Fleet(plan, folder)
    assert max(fleet.enrol()) == MACHINES
    return fleet


def what_machines_have(fleet: Fleet) -> dict[str, Any]:
    lists = {m.client.hex(): m.platform.inventory("packages") for m in fleet.machines}
    return {uuid: sha256(body or b"").hexdigest() for uuid, body in lists.items()}


@pytest.mark.timeout(120)
def test_the_server_knows_every_machines_packages_and_was_sent_each_list_once(
    database_without_tables: str, tmp_path: Path
) -> None:
    with site(tmp_path / "home", database_without_tables, burst="1000") as server:
        server.tell("publish 20")
        fleet = a_fleet(server, tmp_path)
        live(fleet, 2.5)
        first = server.tell("inventories")

        assert first["machines"] == what_machines_have(fleet)
        assert len(first["bodies"]) == VARIANTS + FACTS
        assert fleet.tally.counts["inventory: Taken"] == VARIANTS + FACTS

        fleet.machines[0].platform.set_version("pkg-new", "1.0-1")
        live(fleet, DAYS_TO_NEXT_SCAN * 24)
        second = server.tell("inventories")

        assert second["machines"] == what_machines_have(fleet) != first["machines"]
        assert fleet.tally.counts["inventory: Taken"] == VARIANTS + FACTS + 1
