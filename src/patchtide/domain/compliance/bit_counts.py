"""Counting for all machines at once: in how many of many sets is each of them.

The counts stand upright: the n-th bitmap holds the machines whose count has the n-th bit. Adding
a set is a sum with carry over whole bitmaps, whose cost does not depend on who is in it.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyroaring import BitMap


class BitCounts:
    def __init__(self, sets: Iterable[BitMap] = ()) -> None:
        self._bits: list[BitMap] = []
        for one in sets:
            self.add(one)

    def of(self, machine: int) -> int:
        """Return in how many of the sets the machine is."""
        return sum(1 << place for place, held in enumerate(self._bits) if machine in held)

    def any(self) -> BitMap:
        """Return the machines that are in some set."""
        return BitMap().union(*self._bits)

    def add(self, one: BitMap, *, place: int = 0) -> None:
        """Count those in the set once more, or as often as the n-th bit is worth."""
        self._bits += [BitMap() for _ in range(len(self._bits), place)]
        carry = one
        for held in self._bits[place:]:
            if not carry:
                return
            both = held & carry
            held ^= carry  # in place: most sets are small beside the counts
            carry = both
        if carry:
            self._bits.append(BitMap(carry))

    def add_counts(self, counts: BitCounts, *, among: BitMap) -> None:
        """Add what others have counted, of some of the machines."""
        for place, held in enumerate(counts._bits):
            self.add(held & among, place=place)
