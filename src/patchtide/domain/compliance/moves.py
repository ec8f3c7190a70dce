"""The machines in one state, by leaf; what reports change is gathered, and sorted in later.

A report names leaves, and the index is asked by leaf. To find the place of each of three hundred
bits when a report comes costs more than the report itself. So what a batch changes is put into two
sets of pairs, leaf and machine, at the speed of whole sets, and goes to the leaves' own sets when
somebody asks: each leaf once, however many machines moved there meanwhile.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from struct import Struct
from typing import cast

from pyroaring import BitMap, BitMap64

Pairs = Iterable[tuple[int, BitMap]]
"""Machines, each with leaves."""
GATHERED = 1 << 22
"""So many pairs are gathered at most: some ten megabytes."""
SINGLE = 2_000
"""Of single reports only so many: whoever asks next waits for all that is gathered."""
NOTED = 1 << 20
"""So many pairs of a stream are noted before they go to the leaves' own sets."""
LEAVES = 500
"""So many are sorted in at once while others wait: some milliseconds."""
_Lists = defaultdict[int, list[int]]
"""Machines by leaf. In a stream to note them so costs less than sets of pairs, which each part
would be joined with all before."""
_START = Struct("<IIIHH")
"""Where a leaf begins in the portable format: leaf, cookie, containers, first key, its size."""
_PLAIN = 12346
"""The cookie of a bitmap without runs."""


class HeldByLeaf:
    """The sets are replaced and never changed: a copy, or whoever writes them down, shares them."""

    def __init__(self, *, single: int = SINGLE) -> None:
        self._single = single
        self._machines: defaultdict[int, BitMap] = defaultdict(BitMap)
        self._coming, self._going = BitMap64(), BitMap64()
        self._gathered = 0

    @property
    def machines(self) -> defaultdict[int, BitMap]:
        if self._gathered:
            self._sort_in()
        return self._machines

    @classmethod
    def of(cls, machines: Mapping[int, BitMap]) -> HeldByLeaf:
        made = cls()
        made._machines.update(machines)
        return made

    def copied(self) -> HeldByLeaf:
        return HeldByLeaf.of(self.machines)

    def move(self, *, coming: Pairs, going: Pairs) -> None:
        """Take up which machines come to which leaves, and which go; no machine is there twice."""
        gone, come = _turned(going), _turned(coming)
        if gone:
            self._coming -= gone
            self._going |= gone
        self._coming |= come
        size = len(gone) + len(come)
        self._gathered += size
        if self._gathered > (self._single if size <= self._single else GATHERED):
            self._sort_in()

    def moving(
        self, parts: Iterable[tuple[Pairs, Pairs]]
    ) -> Generator[None, None, Mapping[int, BitMap]]:
        """Find out, in short parts, what those who come and go make of the leaves' sets.

        Nothing is changed by that: `put` takes it up. No machine is in two of the parts.
        """
        held, found = dict(self.machines), dict[int, BitMap]()
        coming, going, noted = _Lists(list), _Lists(list), 0
        for come, gone in parts:
            noted += _note(coming, come) + _note(going, gone)
            yield
            if noted > NOTED:
                yield from _laid(held, found, coming=coming, going=going)
                noted = 0
        yield from _laid(held, found, coming=coming, going=going)
        return found

    def put(self, found: Mapping[int, BitMap]) -> None:
        """Take up what `moving` has found."""
        held = self.machines
        held.update(found)
        for leaf in [leaf for leaf, now in found.items() if not now]:
            del held[leaf]  # leaves that nobody names must not fill the memory

    def _sort_in(self) -> None:
        coming, going = self._coming, self._going
        self._coming, self._going, self._gathered = BitMap64(), BitMap64(), 0
        moved = _sorted_in(self._machines, coming=_by_leaf(coming), going=_by_leaf(going))
        self.put(dict(moved))


def _note(lists: _Lists, pairs: Pairs) -> int:
    """Note each machine at its leaves; return how many pairs that were."""
    noted = 0
    for machine, some in pairs:
        leaves = some.to_array()
        noted += len(leaves)
        for machines in map(lists.__getitem__, leaves):
            machines.append(machine)
    return noted


def _laid(
    held: dict[int, BitMap], found: dict[int, BitMap], *, coming: _Lists, going: _Lists
) -> Iterator[None]:
    """Put what was noted to what is held by now, in short parts, and find each leaf's new set."""
    moved = _sorted_in(held, coming=_sets(coming), going=_sets(going))
    for n, (leaf, now) in enumerate(moved, start=1):
        held[leaf] = found[leaf] = now
        if n % LEAVES == 0:
            yield
    coming.clear()
    going.clear()


def _sets(lists: _Lists) -> Iterator[tuple[int, BitMap]]:
    return ((leaf, BitMap(machines)) for leaf, machines in lists.items())


def _sorted_in(
    held: Mapping[int, BitMap],
    *,
    coming: Iterable[tuple[int, BitMap]],
    going: Iterable[tuple[int, BitMap]],
) -> Iterator[tuple[int, BitMap]]:
    """Yield the leaves with the sets that they have then; one that is left and come to, twice."""
    left: dict[int, BitMap] = {}
    for leaf, gone in going:
        left[leaf] = held[leaf] - gone if leaf in held else BitMap()
        yield leaf, left[leaf]
    for leaf, come in coming:
        was = left[leaf] if leaf in left else held.get(leaf)
        yield leaf, come if was is None else was | come


def _turned(pairs: Pairs) -> BitMap64:
    """Return the pairs by leaf: numbers with the leaf in their upper half."""
    leaves, machines = array("I"), array("I")
    for machine, some in pairs:
        named = some.to_array()
        leaves.extend(named)
        machines.extend(array("I", [machine]) * len(named))
    both = array("I", bytes(8 * len(leaves)))
    both[0::2], both[1::2] = machines, leaves
    return BitMap64(array("Q", both.tobytes()), optimize=False)


def _by_leaf(pairs: BitMap64) -> Iterator[tuple[int, BitMap]]:
    """Yield each leaf with its machines, as they stand one behind the other when serialized."""
    data = memoryview(pairs.serialize())
    end, at = len(data), 8
    while at < end:
        leaf, cookie, containers, _, size = _START.unpack_from(data, at)
        # Any buffer will do, and nothing of this one is copied.
        machines = BitMap.deserialize(cast("bytes", data[at + 4 :]))
        yield leaf, machines
        if cookie == _PLAIN and containers == 1 and size < 4096:
            at += 22 + 2 * size
        else:
            at += 4 + len(machines.serialize())
