"""How the machines of collections stand on sets of updates, as the history counts it.

A set is all that is published, a list, or what a shared search finds. A pair of a collection and a
set is the same when the collection or the list gets another name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.compliance.history import MachineCount, UpdateCount, machines_on
from patchtide.domain.compliance.judgement import Compliance
from patchtide.domain.compliance.scopes import Classes
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.history_pairs import Pair

PAIRS = 20_000
"""So many are counted on a day; of sets for which there is no room, none is."""
AT_ONCE = 20
"""Collections that the fleet is asked for together."""
ALL_UPDATES = "all"


def of_list(made_at: float) -> str:
    return f"list {made_at!r}"


def of_search(name: str) -> str:
    return f"search {name}"


def on_all(fleet: Fleet, view: View, some: BitMap) -> Classes:
    """Return how these machines stand on all that is published."""
    view.standings()  # who is silent for too long by now stands otherwise
    values, nobody = fleet.machines.values(view, "standing"), BitMap()
    found = {one: values.get(one.value, nobody) & some for one in Compliance}
    return Classes(
        compliant=found[Compliance.COMPLIANT],
        required=found[Compliance.REQUIRED],
        restart=found[Compliance.RESTART],
        unknown=found[Compliance.UNKNOWN],
        doubts={},
    )


def doubts_of(fleet: Fleet, view: View, some: BitMap) -> dict[str, int]:
    """Return why how many of these machines are unknown."""
    values = fleet.machines.values(view, "doubt")
    counts = ((str(doubt), len(who & some)) for doubt, who in values.items() if doubt)
    return {doubt: n for doubt, n in sorted(counts) if n}


def by_collection(
    fleet: Fleet, classes: Classes, of: str, *, silent: BitMap
) -> Iterator[tuple[Pair, UpdateCount]]:
    """Yield what is counted of each collection that has machines.

    Of a collection of which nobody knows who is in it nothing is counted. Others may ask the fleet
    in between.
    """
    collections = fleet.ask(lambda view: list(view.collections))
    for start in range(0, len(collections), AT_ONCE):
        part = partial(_counted, fleet, collections[start : start + AT_ONCE], classes, of, silent)
        yield from fleet.ask(part)


def _counted(
    fleet: Fleet, collections: Sequence[UUID], classes: Classes, of: str, silent: BitMap, view: View
) -> list[tuple[Pair, UpdateCount]]:
    ground = fleet.collections.ground(view)
    found = []
    for key in collections:
        some = ground.members_of(key) & view.active
        if some and key not in ground.unknown:
            count = machines_on(classes.among(some))
            found.append((Pair(key, of), as_count(count, reporting=len(some - silent))))
    return found


def as_count(found: MachineCount, *, reporting: int) -> UpdateCount:
    """Return it as it stands among the counts of updates: compliant is who has the whole set."""
    return UpdateCount(
        required=found.required,
        installed=found.compliant + found.restart,
        restart=found.restart,
        behind=found.unknown,
        unjudged=reporting,
    )


def read_count(kept: UpdateCount) -> tuple[MachineCount, int]:
    """Return how the machines stood, and how many of them were heard of late."""
    found = MachineCount(
        compliant=kept.installed - kept.restart,
        required=kept.required,
        restart=kept.restart,
        unknown=kept.behind,
    )
    return found, kept.unjudged
