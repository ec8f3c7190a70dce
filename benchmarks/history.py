"""The fleet's history: counting 100,000 machines on 30,000 updates, and reading a year of it.

Days are made from numbers. The baseline of counting is the bare tally of every update; that of
reading is the rows from the database and nothing made of them. All of it is processor time.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from time import perf_counter
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from pyroaring import BitMap

from benchmarks.reports import MACHINES, UPDATES, a_view
from patchtide.adapters.storage import Storage
from patchtide.domain.collections.definitions import Definition
from patchtide.domain.compliance.history import MachineCount, UpdateCount, day_of
from patchtide.domain.compliance.reaching import Reaching
from patchtide.server.collection_index import CollectionIndex
from patchtide.server.followed_view import FollowedView
from patchtide.server.history import told
from patchtide.server.history_counting import (
    fleet_count,
    machine_count,
    on_list,
    unbelieved,
    update_columns,
)
from patchtide.server.history_curves import Curve
from patchtide.server.history_needing import needing, needing_blocks
from patchtide.server.history_pairs import Pair, pack_pairs
from patchtide.server.history_progress import Progress, progressed
from patchtide.server.history_rows import pack_blocks
from patchtide.server.history_sets import ALL_UPDATES, by_collection, on_all
from patchtide.server.history_since import NeededSince, carried_on
from patchtide.server.machine_index import MachineIndex
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.reaching import Known
from patchtide.server.reaching_within import reached_within
from tests.simulator.remembered import remember
from tests.simulator.reports import NOON

YEAR = 365


def main() -> None:
    counting()
    asyncio.run(reading())


def counting() -> None:
    view = a_view()
    places = {key: place for place, key in enumerate(view.updates)}

    def tallies() -> None:
        view._ground = None  # as after a report that changes the ground
        for update in view.updates.values():
            view.tally_of(update)

    def count() -> None:
        view._ground = None
        unknown = unbelieved(fleet_count(view).doubts)
        update_columns(view, places, length=len(places), unbelieved=unknown)

    bare = took_ms(tallies)
    told_in("count all updates", took_ms(count), "<= 1000 ms", bare)
    some = on_list(view, view.lists["long"])
    told_in("count machines on 10,000 updates", took_ms(lambda: machine_count(view, some)), "-", 0)
    unknown = unbelieved(fleet_count(view).doubts)
    columns = update_columns(view, places, length=len(places), unbelieved=unknown)

    pairs(view)

    def pack() -> None:
        pack_blocks(columns)
        progressed(None, columns, day=day_of(NOON)).packed()

    told_in("pack a day and carry progress on", took_ms(pack), "<= 1000 ms", 0)
    size = sum(map(len, pack_blocks(columns)))
    print(f"a day of {UPDATES} updates\t{size / 1024:.0f} KB\t<= 150 KB\t-")


def pairs(view: FollowedView) -> None:
    """Count what a thousand collections of two hundred machines each come to on one list."""
    dice, everybody = random.Random(7), sorted(view.active)
    made = [
        StoredCollection(
            definition=Definition(
                id=UUID(int=n + 1), name=f"c{n}", direct=BitMap(dice.sample(everybody, 200 + 9 * n))
            ),
            revision=1,
            by="admin",
            at=NOON,
        )
        for n in range(1_000)
    ]
    view.put_collections(made)
    index = MachineIndex()
    fleet: Any = SimpleNamespace(machines=index, collections=CollectionIndex(index))
    longest = [0.0]

    def ask(question: Any) -> Any:
        began = perf_counter()
        answer = question(view)
        longest[0] = max(longest[0], perf_counter() - began)
        return answer

    fleet.ask = fleet.ask_settled = ask
    classes, nobody = on_all(fleet, view, view.active), BitMap()
    found = dict(by_collection(fleet, classes, ALL_UPDATES, silent=nobody))

    def count() -> None:
        dict(by_collection(fleet, classes, ALL_UPDATES, silent=nobody))

    longest[0] = 0.0
    told_in("1,000 collections on one set", took_ms(count), "<= 50 ms", 0)
    told_in("of that at most at once", longest[0] * 1000, "<= 5 ms", 0)
    targets(view, fleet)
    day = {Pair(pair.collection, str(n)): one for pair, one in found.items() for n in range(20)}
    size = sum(map(len, pack_pairs(day).values()))
    print(f"a day of 20,000 pairs\t{size / 1024:.0f} KB\t<= 250 KB\t-")


def targets(view: FollowedView, fleet: Any) -> None:
    """Keep who needs what on a day, and hold one collection against the targets."""
    fleet.ask = fleet.ask_settled = lambda question: question(view)
    places = {key: place for place, key in enumerate(view.updates)}
    told_in("who needs what, kept", took_ms(lambda: needing(fleet, places)), "<= 5000 ms", 0)
    kept = needing(fleet, places)
    size, pairs = (
        sum(map(len, needing_blocks(kept).values())),
        sum(view.tally_of(one).required for one in view.updates.values()),
    )
    print(f"a day of {pairs:,} such pairs\t{size / 2**20:.1f} MB\t<= 30 MB\t-")
    since = day_of(NOON) - timedelta(days=20)
    progress = Progress.of_length(len(places))
    for place in places.values():
        progress.put(place, Reaching(since=since, base=0))
    rows = carried_on({}, kept, day=since, offered=set(places.values()))
    needed = NeededSince(rows.items())
    told = Known(since=since, places=places, progress=progress, needed=needed)
    some = fleet.collections.members_of(view, UUID(int=500))

    def one() -> None:
        list(reached_within(fleet, view, told, some, today=day_of(NOON)))

    told_in(f"targets of {len(some):,} machines", took_ms(one), "<= 1000 ms", 0)


async def reading() -> None:
    known = [UUID(int=n + 1) for n in range(UPDATES)]
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage.open(f"sqlite:///{folder}/history.db")
        await remember(storage, known, machines=MACHINES, now=NOON, days=YEAR, off=frozenset())
        whole = MachineCount(compliant=MACHINES)
        fleet = Curve(machines=whole, doubts={}, reporting=0)
        count = UpdateCount(required=1)
        update = Curve(
            of="update", update=known[17], machines=whole, counts=count, doubts={}, reporting=0
        )
        history, today = storage.fleet_history, day_of(NOON)
        first = today - timedelta(days=YEAR)
        for name, curve in (("the fleet", fleet), ("an update", update)):
            bare = took_ms(lambda: history.days(first=first, last=today))
            took = took_ms(lambda c=curve: told(history, c, now=NOON, days=YEAR))  # type: ignore[misc]
            told_in(f"a year of {name}", took, "<= 100 ms", bare)
        await storage.close()


def told_in(name: str, took: float, budget: str, bare: float) -> None:
    print(f"{name}\t{took:.0f} ms\t{budget}\t{f'{bare:.0f} ms' if bare else '-'}", flush=True)


def took_ms(work: Callable[[], object]) -> float:
    """Return how long it takes at best, of three times."""
    found = []
    for _ in range(3):
        began = time.process_time()
        work()
        found.append((time.process_time() - began) * 1000)
    return min(found)


if __name__ == "__main__":
    main()
