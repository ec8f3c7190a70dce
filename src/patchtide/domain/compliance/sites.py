"""The index in containers: what one site has of it, and several sites' put side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pyroaring import BitMap

from patchtide.domain.compliance.ground import Ground
from patchtide.domain.compliance.index import StateIndex

BLOCK = 65_536
REQUIRED, INSTALLED, UNKNOWN = "required", "installed", "unknown"
EVALUATED, MEMBER, BELIEVED = "evaluated", "member", "believed"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a container stands: a kind, and of what; machines of one block are in it."""

    kind: str
    shard: str
    number: int
    block: int


Containers = Mapping[Place, BitMap]


@dataclass(slots=True, kw_only=True)
class Population:
    """An index with the machines that are counted, and those whose word is believed."""

    index: StateIndex = field(default_factory=StateIndex)
    members: BitMap = field(default_factory=BitMap)
    believed: BitMap = field(default_factory=BitMap)

    def ground(self) -> Ground:
        return Ground(self.index, members=self.members, believed=self.believed)


def containers_of(
    population: Population, *, serial_above: Callable[[str, int], int | None]
) -> dict[Place, BitMap]:
    """Return all that a site tells of its machines.

    `serial_above` is what a serial of this site is at its parent; None: the parent knows no such
    shard, and none of what its machines say of it is told.
    """
    found: dict[Place, BitMap] = {}
    index = population.index
    for kind, by_leaf in (
        (REQUIRED, index.required),
        (INSTALLED, index.installed),
        (UNKNOWN, index.unknown),
    ):
        for number, machines in by_leaf.items():
            _put(found, kind, "", number, machines)
    for shard, serials in index.evaluated.items():
        for serial, machines in serials.items():
            above = serial_above(shard, serial)
            if above is not None:
                _put(found, EVALUATED, shard, above, machines)
    _put(found, MEMBER, "", 0, population.members)
    _put(found, BELIEVED, "", 0, population.believed)
    return found


def changed(before: Containers, after: Containers) -> dict[Place, BitMap]:
    """Return the containers that are others now; those that are gone come back empty."""
    gone = {place: BitMap() for place in before.keys() - after.keys()}
    return gone | {place: held for place, held in after.items() if before.get(place) != held}


def together(sites: Iterable[Containers]) -> Population:
    """Return the index of all machines of these sites: their blocks never overlap."""
    made = Population()
    for place, machines in (item for containers in sites for item in containers.items()):
        match place.kind:
            case "required" | "installed" | "unknown":
                getattr(made.index, place.kind)[place.number] |= machines
            case "evaluated":
                made.index.evaluated[place.shard][place.number] |= machines
            case "member":
                made.members |= machines
            case "believed":
                made.believed |= machines
    return made


def _put(found: dict[Place, BitMap], kind: str, shard: str, number: int, machines: BitMap) -> None:
    for block, some in _blocks(machines):
        place = Place(kind, shard, number, block)
        # Two serials of a site may be one of its parent's.
        found[place] = found[place] | some if place in found else some


def _blocks(machines: BitMap) -> Iterator[tuple[int, BitMap]]:
    while machines:
        first = machines.min()
        block = first - first % BLOCK
        some = machines & BitMap(range(block, block + BLOCK))
        yield block, some
        machines = machines - some
