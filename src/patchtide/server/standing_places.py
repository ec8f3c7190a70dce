"""Machines that stand so that updates are of another risk class there: as sets, and in the history.

What such machines need of an update has a number of its own in the history, as if it were another
update: so their days are counted and their progress is carried on like everything else's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from uuid import UUID, uuid5

from pyroaring import BitMap

from patchtide.domain.catalog.risk import Exposure
from patchtide.domain.compliance.history import UpdateCount
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_part import Part
from patchtide.server.fleet_view import View
from patchtide.server.history_rows import UpdateColumns
from patchtide.server.known_updates import KnownUpdate

RAISED: Collection[Exposure] = (Exposure.PERIMETER, Exposure.CRITICAL)
LOWERED: Collection[Exposure] = (Exposure.ISOLATED,)
PLAIN = tuple(one for one in Exposure if one not in RAISED and one not in LOWERED)
STANDS: Mapping[str, Collection[Exposure]] = MappingProxyType(
    {"raised": RAISED, "lowered": LOWERED}
)
Parts = Mapping[str, Part]


def slice_of(update: UUID, stand: str) -> UUID:
    """Return under which id the history counts those that stand so."""
    return uuid5(update, stand)


def parts_of(fleet: Fleet, view: View) -> Parts:
    """Return the active machines that stand otherwise than most, if there are any."""
    values = fleet.machines.ground(view).values("exposure")
    nobody = BitMap()
    sets = {
        stand: BitMap.union(nobody, *(values.get(one.value, nobody) for one in exposures))
        for stand, exposures in STANDS.items()
    }
    return {name: view.part(some) for name, some in sets.items() if some & view.active}


def count_of(part: Part, update: KnownUpdate) -> UpdateCount:
    tally = part.tally(update)
    return UpdateCount(
        required=tally.required,
        installed=tally.installed,
        restart=part.restarting_with(update),
    )


def unplaced_slices(fleet: Fleet, view: View, places: Collection[UUID]) -> list[UUID]:
    """Return what is needed where machines stand otherwise, and has no number yet."""
    parts = parts_of(fleet, view)
    return [
        key
        for update in _needed(view, parts)
        for stand, part in parts.items()
        if (key := slice_of(update.id, stand)) not in places and part.tally(update).required
    ]


def count_slices(
    fleet: Fleet, view: View, places: Mapping[UUID, int], columns: UpdateColumns
) -> None:
    """Put the counts of those that stand otherwise where they have their numbers."""
    parts = parts_of(fleet, view)
    if not parts:
        return
    for update in view.updates.values():
        for stand, part in parts.items():
            place = places.get(slice_of(update.id, stand))
            if place is not None:
                columns.put(place, count_of(part, update))


def _needed(view: View, parts: Parts) -> Iterator[KnownUpdate]:
    if parts:
        yield from (one for one in view.updates.values() if view.tally_of(one).required)
