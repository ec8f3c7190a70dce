"""How far each update has come on some machines alone: those of a collection, or of a query.

The time that an update has on them runs from the day on which one of them was first counted as
needing it, and whoever of those that needed it has it got it. Other machines have no part in that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from pyroaring import BitMap

from patchtide.domain.catalog.risk import Exposure, RiskClass
from patchtide.domain.compliance.reaching import Reaching
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_part import Part
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.reaching import Counted, Known, Reached
from patchtide.server.standing_places import PLAIN, STANDS, parts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stand:
    """Those of the machines on which an update is of one class."""

    exposures: Sequence[Exposure]
    part: Part


def reached_within(
    fleet: Fleet, view: View, told: Known, machines: BitMap, *, today: date
) -> Iterator[Reached]:
    """Yield each update that they needed once for each of its classes on them."""
    stands = _stands(fleet, view, machines)
    some = BitMap().union(*(one.part.members for one in stands))
    for key, update in view.updates.items():
        place = told.places.get(key)
        since, ever = told.needed.among(place, some)
        if ever or view.tally_of(update).required:
            yield from _of(view, update, place, stands, since=min(since or today, today), ever=ever)


def _stands(fleet: Fleet, view: View, machines: BitMap) -> Sequence[_Stand]:
    some = machines & view.active
    found, rest = [], some.copy()
    for stand, part in parts_of(fleet, view).items():
        if own := part.members & some:
            found.append(_Stand(exposures=tuple(STANDS[stand]), part=view.part(own)))
            rest -= own
    return [*found, _Stand(exposures=PLAIN, part=view.part(rest))]


def _of(
    view: View,
    update: KnownUpdate,
    place: int | None,
    stands: Sequence[_Stand],
    *,
    since: date,
    ever: BitMap,
) -> Iterator[Reached]:
    groups: dict[RiskClass, list[_Stand]] = {}
    for one in stands:
        groups.setdefault(view.risk_of(update, one.exposures[0]), []).append(one)
    for risk, own in groups.items():
        required = sum(one.part.tally(update).required for one in own)
        # Without asking who has it where nobody ever needed it.
        installed = BitMap().union(*(one.part.held(update).installed & ever for one in own if ever))
        has = len(installed - view.restarting)
        if required or has:
            machines = BitMap().union(*(one.part.members for one in own))
            yield Reached(
                update=update,
                risk=risk,
                reaching=Reaching(since=since, base=0),
                required=required,
                has=has,
                got=has,
                counted=Counted(
                    places={} if place is None else {place: 1},
                    base=0,
                    since=since,
                    machines=machines,
                ),
                exposures=tuple(x for one in own for x in one.exposures),
            )
