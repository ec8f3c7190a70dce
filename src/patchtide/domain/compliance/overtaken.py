"""Where a required update is not missed any more, since what took its place applies there.

A machine says of every leaf how it stands; what supersedes what is the catalog's. So it is laid
over what machines say, by whole sets, and nothing has to be evaluated or reported anew when a
vendor changes its mind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Container, Hashable, Iterable, Mapping, Set
from dataclasses import replace
from typing import Generic, TypeVar

from msgspec import structs
from pyroaring import BitMap

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.supersedence import Supersedence
from patchtide.domain.compliance.bit_counts import BitCounts
from patchtide.domain.compliance.ground import Ground, Held
from patchtide.domain.compliance.states import PlacedLeaf, Tally

K = TypeVar("K", bound=Hashable)
APPLIES = frozenset({LeafState.REQUIRED, LeafState.INSTALLED})


class Overtaken(Generic[K]):
    """For one ground: the machines, by update, that would require it but for a successor."""

    def __init__(
        self,
        ground: Ground,
        supersedence: Supersedence[K],
        leaves: Callable[[K], Collection[PlacedLeaf]],
        *,
        counted: Container[K],
    ) -> None:
        """`counted` are the updates that counts speak of: no parts of others."""
        above = supersedence.above(lambda k: ground.applies(leaves(k)), nowhere=BitMap())
        self._machines = {
            update: found
            for update, machines in above.items()
            if machines
            and update in counted
            and (found := ground.held(leaves(update)).required & machines)
        }
        self._counts = BitCounts(self._machines.values())
        self._since: dict[int, int] = {}
        """Of machines that moved since: on how many updates."""

    def moved(self, overtaken: Mapping[int, Set[K]]) -> Set[K]:
        """Take up what is overtaken on some machines now; return the updates that this changes."""
        batch = BitMap(overtaken)
        now: defaultdict[K, list[int]] = defaultdict(list)
        for machine, updates in overtaken.items():
            self._since[machine] = len(updates)
            for update in updates:
                now[update].append(machine)
        changed = set()
        for update in self._machines.keys() | now.keys():
            held, some = self._machines.get(update, BitMap()), BitMap(now.get(update))
            if held & batch != some:
                self._machines[update] = held - batch | some
                changed.add(update)
        return changed

    def __contains__(self, update: K) -> bool:
        """Say whether some machine would require it but for a successor."""
        return update in self._machines

    def counts(self, updates: Iterable[K]) -> BitCounts:
        """Return on which machines how many of these updates are overtaken."""
        return BitCounts(self._machines[update] for update in updates if update in self._machines)

    def tally(self, update: K, told: Tally, *, among: BitMap | None = None) -> Tally:
        """Return how many machines stand how: of all, or of those that were counted."""
        machines = self._machines.get(update)
        if machines is None:
            return told
        count = len(machines) if among is None else machines.intersection_cardinality(among)
        return moved(told, count)

    def tally_on(self, machine: int, told: Tally) -> Tally:
        """Return how many updates stand how on the machine, from how many it named so."""
        since = self._since.get(machine)
        return moved(told, self._counts.of(machine) if since is None else since)

    def held(self, update: K, told: Held, *, among: BitMap | None = None) -> Held:
        """Return where all machines stand, or those that were asked about."""
        machines = self._machines.get(update)
        if machines is None:
            return told
        if among is not None:
            machines = machines & among
        return replace(
            told,
            required=told.required - machines,
            not_required=told.not_required | machines,
        )


def on_one_machine(
    supersedence: Supersedence[K], told: Callable[[K], LeafState]
) -> Callable[[K], LeafState]:
    """Return what says how one machine stands, from what it named: the same as for the fleet."""

    def state(update: K) -> LeafState:
        named = told(update)
        if named is not LeafState.REQUIRED:
            return named
        is_overtaken = supersedence.is_any_above(update, lambda k: told(k) in APPLIES)
        return LeafState.NOT_REQUIRED if is_overtaken else named

    return state


def moved(told: Tally, count: int) -> Tally:
    """Return how many updates stand how, where so many required ones are not missed any more."""
    if not count:
        return told
    required, not_required = told.required - count, told.not_required + count
    return structs.replace(told, required=required, not_required=not_required)
