"""Leaves as they are published, and those that their rules ask for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.compliance.states import PlacedLeaf
from patchtide.server.fleet import Fleet
from patchtide.server.ports.fleet import FleetDetails
from patchtide.wire.leaves import entry, read_leaves

MOST_OTHERS = 1_000
"""So many leaves are followed from one to the next; whatever is beyond is unknown."""


@dataclass(frozen=True, slots=True)
class Published:
    leaf: Leaf
    place: PlacedLeaf


def published(store: FleetDetails, places: Iterable[PlacedLeaf]) -> Sequence[Published]:
    """Return the leaves in the revisions that are in force."""
    by_shard: dict[str, list[PlacedLeaf]] = defaultdict(list)
    for place in places:
        by_shard[place.shard].append(place)
    return [
        found for shard, of_shard in by_shard.items() for found in _of_shard(store, shard, of_shard)
    ]


def _of_shard(store: FleetDetails, shard: str, places: Sequence[PlacedLeaf]) -> Iterable[Published]:
    stored = store.leaves_numbered(shard, [place.number for place in places])
    kept = {(leaf.number, leaf.entered_serial): leaf for leaf in stored}
    for place in places:
        found = kept.get((place.number, place.entered))
        if found is not None:
            [leaf], _ = read_leaves([entry(found.number, found.revision, found.document)])
            yield Published(leaf, place)


def others(fleet: Fleet, leaves: Iterable[Leaf]) -> Mapping[UpdateNumber, Published]:
    """Return the leaves whose state the rules of these ask for, with those that they ask for."""
    own = {leaf.number for leaf in leaves}
    found: dict[UpdateNumber, Published] = {}
    wanted = _named(leaves) - own
    while wanted and len(found) + len(wanted) <= MOST_OTHERS:
        read = published(fleet.store, _places(fleet, sorted(wanted)))
        found.update((one.leaf.number, one) for one in read)
        wanted = _named(one.leaf for one in read) - own - found.keys()
    return found


def _places(fleet: Fleet, numbers: Sequence[int]) -> Sequence[PlacedLeaf]:
    found = fleet.ask(lambda view: [view.placed(number) for number in numbers])
    return [place for place in found if place is not None]


def _named(leaves: Iterable[Leaf]) -> set[UpdateNumber]:
    return set().union(*(leaf.depends_on() for leaf in leaves))
