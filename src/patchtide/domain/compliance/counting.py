"""How many updates are in which state on a machine, for thousands of machines.

Machines that evaluated the same serials of the same shards share a frame, in which counting is a
few operations on whole sets; only an update with several leaves in it is looked at by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Generic, TypeVar

from pyroaring import BitMap

from patchtide.domain.compliance.states import PlacedLeaf, States, Tally

K = TypeVar("K")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    current: BitMap
    """Leaves that were evaluated in the revision they have now."""
    behind: BitMap
    """Leaves that were not."""
    alone: BitMap
    """Leaves whose update has no other leaf in these shards."""


class Counting(Generic[K]):
    """Counts updates of one state of the catalog."""

    def __init__(self, updates: Mapping[K, Collection[PlacedLeaf]]) -> None:
        self._updates = updates
        self._of_leaf: dict[int, K] = {
            leaf.number: key for key, some in updates.items() for leaf in some
        }
        self._frames: dict[tuple[tuple[str, int], ...], _Frame] = {}

    def tally(self, states: States) -> Tally:
        """Return the same as `states.state_of` asked for every update."""
        frame = self._frame(states.shards)
        required, count = self._named(states.required & frame.current, frame)
        doubts = states.unknown & frame.current | frame.behind
        unknown, unknowns = self._named(doubts, frame, besides=required)
        has = states.installed & frame.current
        _, installs = self._named(has, frame, besides=required | unknown)
        return Tally(
            required=count,
            installed=installs,
            unknown=unknowns,
            not_required=len(self._updates) - count - unknowns - installs,
        )

    def _named(
        self, leaves: BitMap, frame: _Frame, *, besides: Set[K] = frozenset()
    ) -> tuple[Set[K], int]:
        """Return the updates of several leaves that these belong to, and how many in all."""
        several = {self._of_leaf[number] for number in leaves - frame.alone} - besides
        return several, len(several) + leaves.intersection_cardinality(frame.alone)

    def _frame(self, shards: Mapping[str, int]) -> _Frame:
        key = tuple(sorted(shards.items()))
        known = self._frames.get(key)
        if known is None:
            known = self._frames[key] = self._framed(shards)
        return known

    def _framed(self, shards: Mapping[str, int]) -> _Frame:
        followed = [x for some in self._updates.values() for x in some if x.shard in shards]
        times = Counter(self._of_leaf[leaf.number] for leaf in followed)
        return _Frame(
            current=_numbers(x for x in followed if x.entered <= shards[x.shard]),
            behind=_numbers(x for x in followed if x.entered > shards[x.shard]),
            alone=_numbers(x for x in followed if times[self._of_leaf[x.number]] == 1),
        )


def _numbers(leaves: Iterable[PlacedLeaf]) -> BitMap:
    return BitMap(leaf.number for leaf in leaves)
