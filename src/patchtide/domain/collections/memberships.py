"""Who is in which collection, kept as definitions change and machines move.

A definition that changes has those evaluated anew that depend on it; machines that move are looked
at by themselves, in every collection. Both end where evaluating everything would.

Of a collection whose query nobody can answer is unknown who is in it, and so of all that speak of
it: to exclude nobody instead, or to include fewer, would be a guess. Such a collection has nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Protocol
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.collections.definitions import (
    ALL_MACHINES,
    Definition,
    Definitions,
    depending,
    following,
    in_turn,
    spoken_of_by,
)

_NOBODY = BitMap()


class Machines(Protocol):
    """The machines that collections are of."""

    @property
    def all(self) -> BitMap: ...

    def answering(self, collection: Definition, /, *, among: BitMap) -> BitMap | None:
        """Return which of these answer to the collection's query, which is not empty.

        None: nobody can say, of whichever machine.
        """
        ...


class Memberships:
    def __init__(self) -> None:
        self._definitions: dict[UUID, Definition] = {}
        self._turn: tuple[UUID, ...] = ()
        self._places: dict[UUID, int] = {}
        self._spoken_of_by: Mapping[UUID, set[UUID]] = {}
        self._later: Sequence[Sequence[int]] = ()
        """By place in turn, the places of those that speak of it."""
        self._speaks_of: Mapping[UUID, Sequence[UUID]] = {}
        self._naming: Mapping[UUID, BitMap] = {}
        """The machines that collections name."""
        self._of_all: Collection[UUID] = ()
        """Those that include everybody, or whose queries ask who is of all machines."""
        self._members: dict[UUID, BitMap] = {}
        self._unknown = set[UUID]()

    @property
    def unknown(self) -> Collection[UUID]:
        """Return the collections of which nobody knows who is in them."""
        return self._unknown

    def members_of(self, collection: UUID) -> BitMap:
        """Return who is in it, to be kept; nobody, where there is no such collection."""
        return self._members.get(collection, BitMap()).copy()

    def together(self, collections: Iterable[UUID]) -> BitMap | None:
        """Return who is in one of them; None: nobody knows of one who is in it."""
        some = list(collections)
        if any(key in self._unknown or key not in self._members for key in some):
            return None
        return _together(some, self._members)

    def size(self, collection: UUID) -> int:
        return len(self._members.get(collection, ()))

    def of(self, machine: int) -> tuple[UUID, ...]:
        """Return the collections that the machine is in, that of all machines among them."""
        return tuple(key for key, members in self._members.items() if machine in members)

    def define(self, definitions: Definitions, machines: Machines) -> None:
        """Take up all definitions of now; evaluate those that depend on what is another one."""
        known = self._definitions
        changed = {key for key, one in definitions.items() if known.get(key) != one}
        gone = known.keys() - definitions.keys()
        self._definitions = dict(definitions)
        self._turn = in_turn(definitions)
        self._places = {key: place for place, key in enumerate(self._turn)}
        self._spoken_of_by = spoken_of_by(definitions)
        self._later = [self._places_of(self._spoken_of_by.get(key, ())) for key in self._turn]
        self._speaks_of = {
            key: tuple(other for _, other in one.references()) for key, one in definitions.items()
        }
        self._naming = {key: one.direct for key, one in definitions.items() if one.direct}
        self._of_all = [
            key
            for key, one in definitions.items()
            if ALL_MACHINES in one.include or ALL_MACHINES in one.asks_for
        ]
        for key in gone:
            self._members.pop(key, None)
            self._unknown.discard(key)
        self._evaluate(depending(definitions, changed | gone), machines)

    def reconsider(self, collections: Iterable[UUID], machines: Machines) -> None:
        """Evaluate these anew, and what depends on them."""
        self._evaluate(following(self._spoken_of_by, collections), machines)

    def evaluate(self, machines: Machines) -> None:
        """Evaluate every collection from nothing."""
        self._members.clear()
        self._unknown.clear()
        self._evaluate(self._definitions.keys(), machines)

    def move(
        self,
        moved: BitMap,
        machines: Machines,
        *,
        turned: Iterable[UUID] | None = None,
        came: BitMap = _NOBODY,
    ) -> None:
        """Look anew at these machines: they came, went or became others.

        `turned`: they may answer otherwise to the queries of these alone, `came` among them, and
        only those of them came or went.
        """
        among = moved & machines.all
        found = {ALL_MACHINES: among}
        self._replace(ALL_MACHINES, moved, among)
        first = self._definitions if turned is None else {*turned, *self._having(came)}
        places = self._places_of(first)
        heapify(places)
        looked = -1
        while places:
            if looked == (place := heappop(places)):
                continue
            key, looked = self._turn[place], place
            now = None if key in self._unknown else self._moved(key, found, machines, among=among)
            # At once: the query of a later one may ask who is in this one.
            if now is not None and self._replace(key, moved, now):
                for later in self._later[place]:
                    heappush(places, later)

    def _places_of(self, collections: Iterable[UUID]) -> list[int]:
        """Return when they have their turn; those in a circle are in none."""
        return [self._places[key] for key in collections if key in self._places]

    def _having(self, came: BitMap) -> Iterator[UUID]:
        """Yield the collections that may have others of who came or went, whatever is asked."""
        if came:
            yield from self._of_all
            yield from (key for key, named in self._naming.items() if named.intersect(came))

    def _moved(
        self, key: UUID, found: dict[UUID, BitMap], machines: Machines, *, among: BitMap
    ) -> BitMap | None:
        one = self._definitions[key]
        for other in self._speaks_of[key]:
            if other not in found:
                found[other] = self._members[other] & among
        now = _evaluated(one, found, machines, among=among)
        if now is not None:
            found[key] = now
        return now

    def _replace(self, key: UUID, moved: BitMap, now: BitMap) -> bool:
        """Let these of those that moved be in it; say whether these are others than before."""
        members = self._members.get(key)
        if members is None:
            members = self._members[key] = BitMap()
        elif not now and members.isdisjoint(moved):
            return False
        others = (members & moved) ^ now
        members ^= others
        return bool(others)

    def _evaluate(self, wanted: Collection[UUID], machines: Machines) -> None:
        everybody = machines.all
        members = self._members
        members[ALL_MACHINES] = everybody.copy()
        some = [key for key in wanted if key in self._definitions]
        # Those in a circle are in no turn.
        members.update((key, BitMap()) for key in some)
        self._unknown.update(some)
        for key in self._turn:
            if key in wanted:
                found = self._known(self._definitions[key], machines, among=everybody)
                if found is not None:
                    members[key] = found
                    self._unknown.discard(key)

    def _known(self, one: Definition, machines: Machines, *, among: BitMap) -> BitMap | None:
        others = self._speaks_of[one.id]
        if any(other in self._unknown or other not in self._members for other in others):
            return None
        return _evaluated(one, self._members, machines, among=among)


def _evaluated(
    one: Definition, members: Mapping[UUID, BitMap], machines: Machines, *, among: BitMap
) -> BitMap | None:
    """Return who of these is in it, where it is known who is in what it speaks of."""
    found = one.direct & among
    for key in one.include:
        found |= members[key]
    if one.query:
        answering = machines.answering(one, among=among)
        if answering is None:
            return None
        found |= answering
    if found:
        for key in one.exclude:
            found -= members[key]
        found &= members[one.limiting]
    return found


def _together(collections: Iterable[UUID], members: Mapping[UUID, BitMap]) -> BitMap:
    return BitMap().union(*(members[key] for key in collections))
