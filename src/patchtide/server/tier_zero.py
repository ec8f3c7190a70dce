"""Tier 0: nobody does anything to its machines who was not handed that right by itself (S39).

A machine is of tier 0 as long as it is in a collection that is marked so. What is said of such a
collection, or of one that it is made of, says something of these machines, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.access.principals import Anonymous, Principal
from patchtide.domain.access.rights import TIER_ZERO, holds
from patchtide.domain.collections.definitions import ALL_MACHINES, made_of
from patchtide.domain.errors import Refused
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.ports.collections import StoredCollection

Known = Mapping[UUID, StoredCollection]


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What something is done to, or said of."""

    machines: Collection[UUID] = ()
    collections: Collection[UUID] = ()

    @property
    def is_nothing(self) -> bool:
        return not self.machines and not self.collections


EVERY_MACHINE = Targets(collections=[ALL_MACHINES])


def may_target(principal: Principal) -> bool:
    return not isinstance(principal, Anonymous) and holds(principal.rights, TIER_ZERO)


def check_marking(principal: Principal) -> None:
    """Raises Refused: he lacks the right that marking a collection is about."""
    if not may_target(principal):
        raise Refused(f"what is of tier 0 is said by those who hold {TIER_ZERO}")


def deciding_tier(known: Known) -> frozenset[UUID]:
    """Return the collections of tier 0, and all that they are made of."""
    marked = [key for key, one in known.items() if one.is_tier_zero]
    return made_of({key: one.definition for key, one in known.items()}, marked) if marked else _NONE


async def check_targets(fleet: Fleet, principal: Principal, targets: Targets) -> None:
    """Raises Refused: something of it is of tier 0, or may be, and that he may do nothing to."""
    if targets.is_nothing or may_target(principal):
        return
    # What he may not see can be of tier 0 as well.
    whole = fleet.everything
    if why := await fleet.run(lambda: _why_not(whole, targets)):
        raise Refused(f"{why}: this needs the right {TIER_ZERO}")


def left_alone(fleet: Fleet, view: View, principal: Principal) -> BitMap:
    """Return the machines that he may do nothing to; if nobody knows which, all."""
    if may_target(principal):
        return BitMap()
    zero = fleet.collections.tier_zero(view)
    return view.present.copy() if zero is None else zero


def _why_not(fleet: Fleet, targets: Targets) -> str:
    if fleet.ask(lambda view: not any(one.is_tier_zero for one in view.collections.values())):
        return ""
    fleet.follow_facts()
    return fleet.ask(lambda view: _is_hit(fleet, view, targets))


def _is_hit(fleet: Fleet, view: View, targets: Targets) -> str:
    if ALL_MACHINES in targets.collections:
        return "some machines are of tier 0"
    if not deciding_tier(view.collections).isdisjoint(targets.collections):
        return "tier 0 is made of this collection"
    if not targets.machines:
        return ""
    zero = fleet.collections.tier_zero(view)
    if zero is None:
        return "nobody knows which machines are of tier 0 now"
    numbers = (view.numbers.get(one.bytes) for one in targets.machines)
    count = zero.intersection_cardinality(BitMap([n for n in numbers if n is not None]))
    return f"{count} of these machines {'is' if count == 1 else 'are'} of tier 0" if count else ""


_NONE = frozenset[UUID]()
