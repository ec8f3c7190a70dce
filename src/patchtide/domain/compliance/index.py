"""Who says what of which leaf: bitmaps of client numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

from pyroaring import BitMap

from patchtide.domain.compliance.moves import HeldByLeaf
from patchtide.domain.compliance.states import States

PART = 100
"""So many clients are put at once while others wait: milliseconds, or twenty for new ones."""
MANY = 2_000
"""So many at once where nobody waits: to put a whole fleet takes several times its memory."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a client says now, in place of what it said before."""

    client: int
    before: States
    now: States


class StateIndex:
    """Follows the rows of clients, one `put` for all that changed in a while.

    Its sets are replaced and never changed, so that a copy costs no more than naming them.
    """

    def __init__(self) -> None:
        self._required = HeldByLeaf()
        self._installed = HeldByLeaf()
        self._unknown = HeldByLeaf()
        self.evaluated: defaultdict[str, defaultdict[int, BitMap]] = defaultdict(
            lambda: defaultdict(BitMap)
        )

    @property
    def required(self) -> defaultdict[int, BitMap]:
        return self._required.machines

    @property
    def installed(self) -> defaultdict[int, BitMap]:
        return self._installed.machines

    @property
    def unknown(self) -> defaultdict[int, BitMap]:
        return self._unknown.machines

    def __len__(self) -> int:
        """Return how many leaves somebody named."""
        return len(self.required.keys() | self.installed.keys() | self.unknown.keys())

    def copied(self) -> StateIndex:
        made = StateIndex()
        made._required = self._required.copied()
        made._installed = self._installed.copied()
        made._unknown = self._unknown.copied()
        for shard, serials in self.evaluated.items():
            made.evaluated[shard].update(serials)
        return made

    def put(self, changes: Sequence[Change]) -> BitMap:
        """Replace what is known of some clients, each named once; return the leaves that moved."""
        moved = BitMap()
        for held, said in self._by_state():
            for coming, going in _in_parts(said, changes, moved, at_once=MANY):
                held.move(coming=coming, going=going)
        self._evaluate(changes)
        return moved

    def putting(self, changes: Sequence[Change]) -> Generator[None, None, BitMap]:
        """Do the same in parts of some milliseconds; nothing of it is there before the last."""
        moved, found = BitMap(), []
        for held, said in self._by_state():
            now = yield from held.moving(_in_parts(said, changes, moved, at_once=PART))
            found.append((held, now))
        for held, now in found:
            held.put(now)
        self._evaluate(changes)
        return moved

    def _by_state(self) -> Sequence[tuple[HeldByLeaf, Callable[[States], BitMap]]]:
        return (
            (self._required, attrgetter("required")),
            (self._installed, attrgetter("installed")),
            (self._unknown, attrgetter("unknown")),
        )

    def _evaluate(self, changes: Iterable[Change]) -> None:
        changes = [c for c in changes if c.before.shards != c.now.shards]
        leaving: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        entering: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for change in changes:
            for place in change.before.shards.items():
                leaving[place].append(change.client)
            for place in change.now.shards.items():
                entering[place].append(change.client)
        for (shard, serial), clients in leaving.items():
            serials = self.evaluated[shard]
            serials[serial] = serials[serial] - BitMap(clients)
            if not serials[serial]:
                del serials[serial]
            if not serials:
                del self.evaluated[shard]
        for (shard, serial), clients in entering.items():
            serials = self.evaluated[shard]
            serials[serial] = serials[serial] | BitMap(clients)


_Moves = Sequence[tuple[int, BitMap]]
"""Clients, each with the leaves that it comes to, or goes from."""


def _moves(said: Callable[[States], BitMap], changes: Iterable[Change]) -> tuple[_Moves, _Moves]:
    """Return who comes to which leaves, and who goes from which."""
    both = [(c.client, said(c.before), said(c.now)) for c in changes]
    changed = [(client, was, now) for client, was, now in both if was != now]
    coming = [(client, now - was if was else now) for client, was, now in changed]
    return coming, [(client, was - now) for client, was, now in changed if was]


def _in_parts(
    said: Callable[[States], BitMap], changes: Sequence[Change], moved: BitMap, *, at_once: int
) -> Iterator[tuple[_Moves, _Moves]]:
    for start in range(0, len(changes), at_once):
        coming, going = _moves(said, changes[start : start + at_once])
        moved |= _leaves_in(coming, going)
        yield coming, going


def _leaves_in(coming: _Moves, going: _Moves) -> BitMap:
    return BitMap().union(*(leaves for _, leaves in chain(coming, going)))
