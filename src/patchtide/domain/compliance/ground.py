"""Who is in which state, for one population, by what the index has of it.

Not required is nowhere stored: it is who evaluated the leaf's current revision and said neither
required nor installed nor unknown, and who follows no shard of it at all. Whoever evaluated an
older revision, or cannot be believed, is unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct
from pyroaring import BitMap

from patchtide.domain.compliance.bit_counts import BitCounts
from patchtide.domain.compliance.index import StateIndex
from patchtide.domain.compliance.states import PlacedLeaf, Tally

_NOBODY = BitMap()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Who is in which state; the four are disjoint and make up all who were asked about."""

    required: BitMap
    installed: BitMap
    not_required: BitMap
    unknown: BitMap

    @property
    def tally(self) -> Tally:
        return Tally(
            required=len(self.required),
            installed=len(self.installed),
            not_required=len(self.not_required),
            unknown=len(self.unknown),
        )


class Named(Struct, frozen=True, gc=False):
    """How many of those who are believed say what of an update; for all others it is not."""

    required: int
    installed: int
    doubtful: int


class Ground:
    """The index for one population: what many updates share is kept, and follows who moves."""

    def __init__(self, index: StateIndex, *, members: BitMap, believed: BitMap) -> None:
        self._index = index
        self._members = members
        self._asked = members & believed
        self._evaluated: dict[tuple[str, int], BitMap] = {}
        self._followers: dict[str, BitMap] = {}

    @property
    def asked(self) -> BitMap:
        """Return those of the members whose word is believed."""
        return self._asked

    def among(self, members: BitMap) -> Ground:
        """Return the same for those of its machines that are among these."""
        some = self._members & members
        return Ground(self._index, members=some, believed=self._asked)

    def renew(self, moved: BitMap, *, members: BitMap, believed: BitMap) -> None:
        """Take up which of those who moved are members and believed, and what they evaluated."""
        some = moved & members & believed
        self._members = members
        self._asked = self._asked - moved | some
        places = {
            shard: [(n, held & some) for n, held in self._serials(shard).items()]
            for shard in {*self._followers, *(shard for shard, _ in self._evaluated)}
        }
        for shard, known in self._followers.items():
            self._followers[shard] = _union([known - moved, *(held for _, held in places[shard])])
        for (shard, entered), known in self._evaluated.items():
            now = (held for serial, held in places[shard] if serial >= entered)
            self._evaluated[shard, entered] = _union([known - moved, *now])

    def required(self, leaves: Iterable[PlacedLeaf]) -> BitCounts:
        """Return how many of these leaves each machine requires."""
        found = BitCounts()
        for some in _alike(leaves).values():
            counts = BitCounts(_those(self._index.required, some))
            found.add_counts(counts, among=self._evaluated_since(some[0]))
        return found

    def together(self, leaves: Iterable[PlacedLeaf]) -> Held:
        """Return who requires some of these leaves, has some, or leaves some in doubt.

        Unlike `held`, who is in doubt of one may have or require another.
        """
        required, installed, doubtful = BitMap(), BitMap(), BitMap()
        for some in _alike(leaves).values():
            # One intersection for all that entered at once: that is quick for thousands.
            evaluated = self._evaluated_since(some[0])
            required |= evaluated & _union(_those(self._index.required, some))
            installed |= evaluated & _union(_those(self._index.installed, some))
            doubtful |= evaluated & _union(_those(self._index.unknown, some))
            doubtful |= self._followers_of(some[0].shard) - evaluated
        return self._stand(required, installed, doubtful)

    def requiring(self, leaves: Iterable[PlacedLeaf]) -> BitMap:
        """Return who requires some of these leaves."""
        found = BitMap()
        for some in _alike(x for x in leaves if x.number in self._index.required).values():
            named = _union(_those(self._index.required, some))
            found |= self._evaluated_since(some[0]) & named
        return found

    def late(self, leaves: Iterable[PlacedLeaf]) -> BitMap:
        """Return who evaluated some of these leaves in an older revision, of those asked."""
        alike = {(leaf.shard, leaf.entered): leaf for leaf in leaves}.values()
        return _union(self._followers_of(x.shard) - self._evaluated_since(x) for x in alike)

    def held(self, leaves: Collection[PlacedLeaf]) -> Held:
        """Return where the members stand on an update with these leaves.

        The same as `states.state_of` asked for each member whose row is believed.
        """
        required, installed, doubtful = BitMap(), BitMap(), BitMap()
        for leaf in leaves:
            evaluated = self._evaluated_since(leaf)
            required |= self._index.required.get(leaf.number, _NOBODY) & evaluated
            installed |= self._index.installed.get(leaf.number, _NOBODY) & evaluated
            doubtful |= self._index.unknown.get(leaf.number, _NOBODY) & evaluated
            doubtful |= self._followers_of(leaf.shard) - evaluated
        doubtful -= required
        installed = installed - required - doubtful
        return self._stand(required, installed, doubtful)

    def _stand(self, required: BitMap, installed: BitMap, doubtful: BitMap) -> Held:
        return Held(
            required=required,
            installed=installed,
            not_required=self._asked - required - installed - doubtful,
            unknown=self._members - self._asked | doubtful,
        )

    def applies(self, leaves: Collection[PlacedLeaf]) -> BitMap:
        """Return the members for which an update with these leaves is: needed or there."""
        held = self.held(leaves)
        return held.required | held.installed

    def tally(self, leaves: Collection[PlacedLeaf]) -> Tally:
        """Return the sizes of what `held` returns, for one leaf without making it."""
        return self.tally_of(self.named(leaves))

    def tally_of(self, named: Named) -> Tally:
        asked = len(self._asked)
        return Tally(
            required=named.required,
            installed=named.installed,
            not_required=asked - named.required - named.installed - named.doubtful,
            unknown=len(self._members) - asked + named.doubtful,
        )

    def named(self, leaves: Collection[PlacedLeaf]) -> Named:
        """Return what does not change by who comes or goes that names none of these leaves."""
        if len(leaves) != 1:
            tally = self.held(leaves).tally
            doubted = len(self._members) - len(self._asked)
            return Named(tally.required, tally.installed, tally.unknown - doubted)
        [leaf] = leaves
        evaluated = self._evaluated_since(leaf)
        unknown = _both(self._index.unknown, leaf, evaluated)
        return Named(
            _both(self._index.required, leaf, evaluated),
            _both(self._index.installed, leaf, evaluated),
            unknown + len(self._followers_of(leaf.shard)) - len(evaluated),
        )

    def behind(self, leaves: Collection[PlacedLeaf]) -> int:
        """Return how many are unknown for an older catalog, or the more of them for several."""
        if len(leaves) == 1:
            [leaf] = leaves
            return len(self._followers_of(leaf.shard)) - len(self._evaluated_since(leaf))
        late = _union(self._followers_of(x.shard) - self._evaluated_since(x) for x in leaves)
        return self.held(leaves).unknown.intersection_cardinality(late)

    def _evaluated_since(self, leaf: PlacedLeaf) -> BitMap:
        """Return who of those asked evaluated the leaf in its current revision."""
        key = (leaf.shard, leaf.entered)
        known = self._evaluated.get(key)
        if known is None:
            known = self._evaluated[key] = self._asked & _union(
                held for serial, held in self._serials(leaf.shard).items() if serial >= leaf.entered
            )
        return known

    def _followers_of(self, shard: str) -> BitMap:
        known = self._followers.get(shard)
        if known is None:
            known = self._followers[shard] = self._asked & _union(self._serials(shard).values())
        return known

    def _serials(self, shard: str) -> Mapping[int, BitMap]:
        return self._index.evaluated.get(shard, {})


def _alike(leaves: Iterable[PlacedLeaf]) -> Mapping[tuple[str, int], Sequence[PlacedLeaf]]:
    """Return the leaves by what says who evaluated them."""
    found: defaultdict[tuple[str, int], list[PlacedLeaf]] = defaultdict(list)
    for leaf in leaves:
        found[leaf.shard, leaf.entered].append(leaf)
    return found


def _those(held: Mapping[int, BitMap], leaves: Iterable[PlacedLeaf]) -> Iterator[BitMap]:
    for leaf in leaves:
        found = held.get(leaf.number)
        if found is not None:
            yield found


def _both(held: Mapping[int, BitMap], leaf: PlacedLeaf, evaluated: BitMap) -> int:
    found = held.get(leaf.number)
    return 0 if found is None else found.intersection_cardinality(evaluated)


def _union(bitmaps: Iterable[BitMap]) -> BitMap:
    return BitMap().union(*bitmaps)
