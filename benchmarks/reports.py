"""Named reports over 100,000 machines and 30,000 updates: each a page of 100 rows, as people ask.

The fleet is in memory, as each node has it; before each report one machine reports. The baseline
is the bare count of one field over as many rows of a list.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from time import perf_counter
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.catalog.details import Severity
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.compliance.states import PlacedLeaf, States
from patchtide.server.collection_index import CollectionIndex
from patchtide.server.followed_view import FollowedView
from patchtide.server.known_updates import Catalog, KnownUpdate
from patchtide.server.machine_index import MachineIndex
from patchtide.server.member import Said
from patchtide.server.named_reports import compiled
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.update_lists import StoredList
from patchtide.server.report_operations import shown
from patchtide.server.report_scope import AskReport
from patchtide.server.update_index import UpdateIndex
from tests.simulator.catalogs import an_update_id, some_details
from tests.simulator.reports import NOON

MACHINES, UPDATES, ROUNDS = 100_000, 30_000, 5
PLATFORMS = ("debian-11", "debian-12", "ubuntu-22.04", "rhel-9")
GROUPS = tuple(f"role-{number}" for number in range(30))
PROFILES = 400
"""As many different sets of states there are; each of 300."""
LINEAGE = bytes(16)
DICE = random.Random(20260302)
BUDGET = "<= 1000 ms"


def updates() -> Iterator[KnownUpdate]:
    for n in range(UPDATES):
        older = [f"u{n - 4}"] if n % 8 == 4 else []
        told = some_details(f"u{n}", severity=DICE.choice(list(Severity)))
        details = replace(told, supersedes=tuple(map(an_update_id, older)))
        leaf = PlacedLeaf(
            number=UpdateNumber(n), shard=PLATFORMS[n % 4], entered=1 + n * 9 // UPDATES
        )
        order = (0, f"u{n}", "")
        yield KnownUpdate(
            id=details.update, title=f"u{n}", leaves=(leaf,), details=details, order=order
        )


def a_client(n: int) -> Client:
    return Client(
        number=n,
        uuid=n.to_bytes(16),
        name=f"machine-{n:06}",
        public_key=b"",
        machine=b"",
        site="fra",
        state=ClientState.ACTIVE,
        enrolled_at=NOON,
        platform=PLATFORMS[n % 4],
        group=GROUPS[n % len(GROUPS)],
    )


def profiles() -> list[States]:
    made = []
    for n in range(PROFILES):
        platform = n % 4
        here = DICE.sample(range(platform, UPDATES, 4), 300)
        needed = DICE.randrange(0, 40)
        serial = 8 if n % 20 == 0 else 9
        made.append(
            States(
                required=BitMap(here[:needed]),
                installed=BitMap(here[needed:]),
                shards={PLATFORMS[platform]: serial},
            )
        )
    return made


def said(n: int, states: States) -> Said:
    failed = n % 100 == 7
    return Said(
        client=n,
        lineage=LINEAGE,
        states=states,
        scan="failed" if failed else "completed",
        scan_error=f"the disk is full: /var{n % 9}" if failed else "",
        scanned_at=NOON,
        reported_at=NOON - timedelta(days=20 if n % 50 == 3 else 1),
        aged_catalog=False,
    )


def a_view() -> FollowedView:
    view = FollowedView(now=NOON)
    known = {update.id: update for update in updates()}
    view.put_clients([a_client(n) for n in range(1, MACHINES + 1)])
    view.put_catalog(LINEAGE, dict.fromkeys(PLATFORMS, 9), Catalog(updates=known))
    states = profiles()
    view.put_rows(said(n, states[n % PROFILES]) for n in range(1, MACHINES + 1))
    heard = {n: NOON.timestamp() - (86_400 if n % 30 == 0 else 60) for n in range(1, MACHINES + 1)}
    view.put_heard({n: n % 25 == 0 for n in heard}, at=heard)
    some = frozenset(DICE.sample(sorted(known), 100))
    view.put_lists(
        [
            StoredList(name="hundred", note="", by="", at=NOON, updates=some),
            StoredList(
                name="long", note="", by="", at=NOON, updates=frozenset(list(known)[:10_000])
            ),
        ]
    )
    view.count()
    return view


def site(view: FollowedView) -> Any:
    machines = MachineIndex()
    fleet = SimpleNamespace(
        ask=lambda question: question(view),
        ask_settled=lambda question: question(view),
        updates=UpdateIndex(),
        machines=machines,
        collections=CollectionIndex(machines),
        follow_facts=lambda: None,
        facts=machines.facts,
        store=SimpleNamespace(heard=lambda numbers: {}),
        scopes=frozenset(),
        lists=None,
    )
    return SimpleNamespace(
        fleet=fleet,
        silent_after=timedelta(hours=3),
        site_name="hq",
        reports_waiting=lambda: 0,
        lookups=SimpleNamespace(setting=lambda name: None),
        reading=SimpleNamespace(calendar=SimpleNamespace(entries=tuple)),
    )


GROUP = "group = role-7 or group = role-8 or platform = debian-12"
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("overall", {}),
    ("overall of a list of 100", {"list": "hundred"}),
    ("overall of a list of 10,000", {"list": "long"}),
    ("overall of a list, by group", {"list": "hundred", "by": "group"}),
    ("overall of some machines", {"machines": GROUP}),
    ("overall of a query of 20,000", {"query": "not list = long"}),
    ("by-update", {}),
    ("by-update of some machines", {"machines": GROUP}),
    ("by-machine", {}),
    ("by-machine of a list of 100", {"list": "hundred"}),
    ("by-machine of a list of 10,000", {"list": "long", "state": "required"}),
    ("matrix", {"by": "group"}),
    ("matrix of a list, some machines", {"list": "hundred", "machines": GROUP}),
    ("machine", {"machine": UUID(int=77)}),
    ("scans", {"state": "failed"}),
    ("errors", {}),
    ("silent", {}),
    ("restarts", {}),
    ("superseded", {}),
)


def measured(context: Any, view: FollowedView, title: str, values: dict[str, Any]) -> float:
    asked = AskReport(name=title.split()[0].rstrip(","), **values)  # type: ignore[arg-type]
    found = []
    for n in range(ROUNDS):
        view.put_rows([said(n + 10, view.members[n + 10 + PROFILES].states)])
        start = perf_counter()
        shown(compiled(context, asked, owner=""))
        found.append(perf_counter() - start)
    return sorted(found)[ROUNDS // 2] * 1000


def plain() -> float:
    rows = [(n, n % 7) for n in range(MACHINES)]
    start = perf_counter()
    found = sum(1 for _, how in rows if how == 3)
    return (perf_counter() - start) * 1000 if found else 0.0


def main() -> None:
    view = a_view()
    context = site(view)
    for said, values in ASKED:
        took = measured(context, view, said, values)
        print(f"{said}\t{took:.0f} ms\t{BUDGET}\t{plain():.1f} ms", flush=True)


if __name__ == "__main__":
    main()
