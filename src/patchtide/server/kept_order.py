"""Numbers kept in the order of their keys, while some of them move.

In blocks: who moves, moves a block and not the whole list, and a page is cut out of one or two.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice
from typing import Any

from pyroaring import BitMap

Key = tuple[Any, ...]
BLOCK = 512
MANY = 8
"""If more than this part of all move at once, it is quicker to put all in order anew."""


class KeptOrder:
    """No two have the same key; not for two threads at once."""

    def __init__(self, keyed: Iterable[tuple[Key, int]]) -> None:
        self._keys: list[list[Key]] = []
        self._numbers: list[list[int]] = []
        self._last: list[Key] = []
        """The last key of each block."""
        self._fill(sorted(keyed))

    def __len__(self) -> int:
        return sum(map(len, self._numbers))

    def move(self, *, going: Sequence[tuple[Key, int]], coming: Sequence[tuple[Key, int]]) -> None:
        """Take out and put in. Whoever goes is there under this key."""
        if (len(going) + len(coming)) * MANY > len(self):
            left = {number for _, number in going}
            stay = [one for one in self._keyed() if one[1] not in left]
            self._fill(sorted(chain(stay, coming)))
            return
        for key, _ in going:
            self._remove(key)
        for key, number in coming:
            self._add(key, number)

    def all(self, *, falls: bool = False) -> Iterator[int]:
        """Yield all numbers in order."""
        return _one_by_one(self._numbers, falls=falls)

    def behind(self, place: Key, *, falls: bool = False) -> Iterator[int]:
        """Yield the numbers that follow this place, which nobody need have, in order."""
        if falls:
            block = bisect_left(self._last, place)
            if block == len(self._last):
                return self.all(falls=True)
            here = self._numbers[block][: bisect_left(self._keys[block], place)]
            return chain(reversed(here), _one_by_one(self._numbers[:block], falls=True))
        block = bisect_right(self._last, place)
        if block == len(self._last):
            return iter(())
        here = self._numbers[block][bisect_right(self._keys[block], place) :]
        return chain(here, _one_by_one(self._numbers[block + 1 :], falls=False))

    def at(self, start: int, count: int, *, falls: bool = False) -> list[int]:
        """Return so many, from that one on."""
        ends = list(accumulate(map(len, reversed(self._numbers) if falls else self._numbers)))
        block = bisect_right(ends, start)
        skipped = ends[block - 1] if block else 0
        rest = self._numbers[: len(ends) - block] if falls else self._numbers[block:]
        first = start - skipped
        return list(islice(_one_by_one(rest, falls=falls), first, first + count))

    def _keyed(self) -> Iterator[tuple[Key, int]]:
        for keys, numbers in zip(self._keys, self._numbers, strict=True):
            yield from zip(keys, numbers, strict=True)

    def _fill(self, keyed: Sequence[tuple[Key, int]]) -> None:
        parts = [keyed[start : start + BLOCK] for start in range(0, len(keyed), BLOCK)]
        self._keys = [[key for key, _ in part] for part in parts]
        self._numbers = [[number for _, number in part] for part in parts]
        self._last = [keys[-1] for keys in self._keys]

    def _remove(self, key: Key) -> None:
        block = bisect_left(self._last, key)
        keys, numbers = self._keys[block], self._numbers[block]
        place = bisect_left(keys, key)
        del keys[place], numbers[place]
        if keys:
            self._last[block] = keys[-1]
        else:
            del self._keys[block], self._numbers[block], self._last[block]

    def _add(self, key: Key, number: int) -> None:
        if not self._last:
            self._fill([(key, number)])
            return
        block = min(bisect_left(self._last, key), len(self._last) - 1)
        keys, numbers = self._keys[block], self._numbers[block]
        place = bisect_left(keys, key)
        keys.insert(place, key)
        numbers.insert(place, number)
        self._last[block] = keys[-1]
        if len(keys) > 2 * BLOCK:
            self._keys[block : block + 1] = [keys[:BLOCK], keys[BLOCK:]]
            self._numbers[block : block + 1] = [numbers[:BLOCK], numbers[BLOCK:]]
            self._last[block : block + 1] = [keys[BLOCK - 1], keys[-1]]


def those(numbers: Iterable[int], among: BitMap) -> Iterator[int]:
    """Yield the numbers that are among these."""
    return filter(among.__contains__, numbers)


def _one_by_one(blocks: Sequence[Sequence[int]], *, falls: bool) -> Iterator[int]:
    if falls:
        return chain.from_iterable(map(reversed, reversed(blocks)))
    return chain.from_iterable(blocks)
