"""How many updates are in which state on a machine, for thousands of machines.

Machines that evaluated the same serials of the same shards share a frame, in which counting is a
few operations on whole sets; only an update with several leaves in it is looked at by itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, OrderedDict, defaultdict
from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set,
)
from dataclasses import dataclass
from typing import Generic, TypeVar

from pyroaring import BitMap

from patchtide.domain.compliance.states import PlacedLeaf, States, Tally

K = TypeVar("K")
H = TypeVar("H", bound=Hashable)
T = TypeVar("T")
FRAMES = 256
"""As many are kept as were used last: machines say what they evaluated, and may say anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    current: BitMap
    """Leaves that were evaluated in the revision they have now."""
    behind: BitMap
    """Leaves that were not."""
    alone: BitMap
    """Leaves whose update has no other leaf in these shards."""
    entangled: BitMap
    """All others of these shards."""
    is_entangled: bool
    """Some that were not evaluated belong to updates with others."""


class Counting(Generic[K]):
    """Counts updates of one state of the catalog."""

    def __init__(self, updates: Mapping[K, Collection[PlacedLeaf]]) -> None:
        self._updates = updates
        self._of_leaf: defaultdict[int, tuple[K, ...]] = defaultdict(tuple)
        leaves: dict[int, PlacedLeaf] = {}
        for key, some in updates.items():
            for leaf in some:
                # Nearly always one: bundles may have a part in common.
                self._of_leaf[leaf.number] += (key,)
                leaves[leaf.number] = leaf
        self._shards = _shards(leaves.values())
        self._frames: OrderedDict[tuple[tuple[str, int], ...], _Frame] = OrderedDict()
        self._alone: OrderedDict[tuple[str, ...], BitMap] = OrderedDict()
        self._by_shards: dict[int, tuple[Mapping[str, int], _Frame]] = {}
        """The frames of mappings that are kept, so that none of another has the same identity."""

    @property
    def frames(self) -> int:
        """Return how many frames are kept."""
        return len(self._frames)

    def tally(self, states: States) -> Tally:
        """Return the same as `states.state_of` asked for every update."""
        frame = self._frame(states.shards)
        if not frame.is_entangled and states.is_apart(frame.entangled):
            return self._plain(states, frame)
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

    def is_behind(self, states: States) -> bool:
        """Say whether some leaf has entered since the serials that were evaluated."""
        return bool(self._frame(states.shards).behind)

    def _plain(self, states: States, frame: _Frame) -> Tally:
        """Return the tally where each leaf that counts is an update: by numbers alone."""
        required = states.required.intersection_cardinality(frame.current)
        installed = states.installed.intersection_cardinality(frame.current)
        unknown = states.unknown.intersection_cardinality(frame.current) + len(frame.behind)
        return Tally(
            required=required,
            installed=installed,
            unknown=unknown,
            not_required=len(self._updates) - required - installed - unknown,
        )

    def behind(self, shards: Mapping[str, int]) -> BitMap:
        """Return the leaves that have entered since these serials."""
        return self._frame(shards).behind

    def depends_on(self, states: States) -> BitMap:
        """Return the leaves that count otherwise without the machine that says so of them."""
        return states.required | states.installed | states.unknown | self.behind(states.shards)

    def between(self, before: Mapping[str, int], now: Mapping[str, int]) -> Iterator[Sequence[int]]:
        """Yield the leaves that entered between the serials; both name the same shards."""
        for shard, serial in now.items():
            if before[shard] != serial and shard in self._shards:
                found, (low, high) = self._shards[shard], sorted((before[shard], serial))
                yield found.numbers[found.place(low) : found.place(high)]

    def of(self, leaf: int) -> Sequence[K]:
        """Return the updates that a leaf is of: several, if it is part of several bundles."""
        return self._of_leaf.get(leaf, ())

    def _named(
        self, leaves: BitMap, frame: _Frame, *, besides: Set[K] = frozenset()
    ) -> tuple[Set[K], int]:
        """Return the updates of several leaves that these belong to, and how many in all."""
        several = {key for number in leaves - frame.alone for key in self._of_leaf[number]}
        several -= besides
        return several, len(several) + leaves.intersection_cardinality(frame.alone)

    def _frame(self, shards: Mapping[str, int]) -> _Frame:
        # Thousands of machines share what they evaluated; to sort it takes longer than to count.
        known = self._by_shards.get(id(shards))
        if known is None or known[0] is not shards:
            # Two serials between which no leaf has entered make no difference.
            mine = self._shards
            places = tuple(sorted((s, mine[s].place(n)) for s, n in shards.items() if s in mine))
            known = shards, _kept(self._frames, places, lambda: self._framed(places))
            if len(self._by_shards) >= FRAMES:
                self._by_shards.clear()
            self._by_shards[id(shards)] = known
        return known[1]

    def _framed(self, places: tuple[tuple[str, int], ...]) -> _Frame:
        followed = tuple(shard for shard, _ in places)
        numbers = [(self._shards[shard].numbers, place) for shard, place in places]
        alone = _kept(self._alone, followed, lambda: self._alone_in(followed))
        current = BitMap().union(*(BitMap(some[:place]) for some, place in numbers))
        behind = BitMap().union(*(BitMap(some[place:]) for some, place in numbers))
        return _Frame(
            current=current,
            behind=behind,
            alone=alone,
            entangled=(current | behind) - alone,
            is_entangled=not behind.issubset(alone),
        )

    def _alone_in(self, shards: Collection[str]) -> BitMap:
        followed = [number for shard in shards for number in self._shards[shard].numbers]
        times = Counter(key for number in followed for key in self._of_leaf[number])
        own = ((number, self._of_leaf[number]) for number in followed)
        return BitMap(number for number, keys in own if len(keys) == 1 and times[keys[0]] == 1)


@dataclass(frozen=True, slots=True)
class _Shard:
    """Its leaves in the order in which they entered."""

    entered: list[int]
    numbers: list[int]

    def place(self, serial: int) -> int:
        """Return how many of its leaves had entered at that serial."""
        return bisect_right(self.entered, serial)


def _shards(leaves: Iterable[PlacedLeaf]) -> Mapping[str, _Shard]:
    found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for leaf in leaves:
        found[leaf.shard].append((leaf.entered, leaf.number))
    return {
        shard: _Shard(*map(list, zip(*sorted(pairs), strict=True)))
        for shard, pairs in found.items()
    }


def _kept(kept: OrderedDict[H, T], key: H, make: Callable[[], T]) -> T:
    """Return what is kept under the key, made now if it is not; of many, those used last."""
    found = kept.get(key)
    if found is None:
        found = kept[key] = make()
    kept.move_to_end(key)
    if len(kept) > FRAMES:
        kept.popitem(last=False)
    return found
