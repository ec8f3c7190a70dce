"""Queries over machines whose answers are kept: a change of one machine is asked of it alone.

Queries share their conditions. Of each condition is kept of whom it holds, whether let in or not;
when a machine moves, only the conditions on what moved are asked again, of this machine, and only
the queries with a condition that turned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pyroaring import BitMap

from patchtide.domain.catalog.queries import (
    Asked,
    Condition,
    Fields,
    Mentions,
    Operator,
    Query,
    combined,
    conditions,
    fits_of,
    holds,
)
from patchtide.domain.catalog.query_tests import Fits
from patchtide.domain.collections.facts import Facts

MOST = 5_000
"""Queries that are kept; beyond that the one that nobody asked for longest is dropped."""
Finder = Callable[[Condition], BitMap]


@dataclass(slots=True)
class _Held:
    """A condition: of which machines it holds, and which queries are made of it."""

    condition: Condition
    machines: BitMap
    fits: Fits | None = None
    users: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Kept:
    query: Query
    members: BitMap


class KeptQueries:
    """By any key. Whoever asks has told first who moved."""

    def __init__(self, clocked: Iterable[str] = ()) -> None:
        self._clocked = frozenset(clocked)
        """Places whose values change by time alone."""
        self._kept: dict[str, _Kept] = {}
        self._held: dict[Condition, _Held] = {}
        self._by_place: dict[str, list[_Held]] = {}
        self._mentions: list[_Held] = []
        self._fresh = set[str]()
        """Queries that have a set of their own since the last `begin`."""

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def places(self) -> Iterable[str]:
        """Return what some query asks about."""
        return self._by_place

    @property
    def mentions(self) -> bool:
        """Whether some query looks for a text in what people read."""
        return bool(self._mentions)

    @property
    def size_bytes(self) -> int:
        """Return how much its sets would take written down, which is what they take in memory."""
        sets = [*(one.machines for one in self._held.values())]
        sets += [one.members for one in self._kept.values()]
        return sum(len(one.serialize()) for one in sets)

    def begin(self) -> None:
        """Leave the sets that somebody may have as they are: who moves from now on is in others."""
        self._fresh.clear()

    def members(self, key: str) -> BitMap:
        """Return who answers to a query that is kept: the same set for as long as it is the same.

        It is not to be changed.
        """
        kept = self._kept.pop(key)
        # The one that was asked for last is the last one.
        self._kept[key] = kept
        return kept.members

    def put(self, key: str, query: Query, *, fields: Fields, rows: BitMap, find: Finder) -> None:
        """Keep it. `find` says of which machines a condition holds, let in or not, `!=` as `=`."""
        while len(self._kept) >= MOST:
            self.drop(next(iter(self._kept)))
        asked = set(conditions(query))
        # All before any is held: what machines told may not have been read yet.
        found = {one: find(one) for one in asked if one not in self._held}
        for one in asked:
            held = self._held[one] if one in self._held else self._hold(one, fields, found[one])
            held.users.add(key)
        self._kept[key] = _Kept(query, self._combined(query, rows))

    def drop(self, key: str) -> None:
        kept = self._kept.pop(key)
        self._fresh.discard(key)
        for one in set(conditions(kept.query)):
            held = self._held[one]
            held.users.discard(key)
            if not held.users:
                self._release(held)

    def clear(self) -> None:
        self._kept.clear()
        self._held.clear()
        self._by_place.clear()
        self._mentions.clear()
        self._fresh.clear()

    def move(self, machine: int, facts: Facts, *, text: str | None = None) -> set[str]:
        """Take up what a machine's values are now in these places; return the queries to decide."""
        turned = set[str]()
        for place, values in facts.items():
            for held in self._by_place.get(place, ()):
                if held.fits is not None:
                    self._turn(held, machine, any(map(held.fits, values)), turned)
        if text is not None:
            for held in self._mentions:
                if isinstance(held.condition, Mentions):
                    is_in = held.condition.text.casefold() in text
                    self._turn(held, machine, is_in, turned)
        return turned

    def decide(self, machine: int, keys: Iterable[str], *, is_row: bool) -> None:
        """Put the machine into these queries' answers, or take it out."""
        for key in keys:
            kept = self._kept[key]
            is_in = is_row and holds(kept.query, lambda one: self._holds(one, machine))
            if is_in == (machine in kept.members):
                continue
            if key not in self._fresh:
                kept.members = kept.members.copy()
                self._fresh.add(key)
            (kept.members.add if is_in else kept.members.discard)(machine)

    def decide_all(self, machine: int, *, is_row: bool) -> None:
        self.decide(machine, self._kept, is_row=is_row)

    def tick(self, *, rows: BitMap, find: Finder) -> None:
        """Ask again what changes by time alone."""
        turned = set[str]()
        for place in self._clocked:
            for held in self._by_place.get(place, ()):
                now = find(held.condition)
                if now != held.machines:
                    held.machines = now.copy()
                    turned |= held.users
        for key in turned:
            kept = self._kept[key]
            members = self._combined(kept.query, rows)
            if members != kept.members:
                kept.members = members

    def _hold(self, one: Condition, fields: Fields, machines: BitMap) -> _Held:
        held = self._held[one] = _Held(one, machines.copy())
        if isinstance(one, Asked):
            if one.field not in self._clocked:
                held.fits = fits_of(one, fields[one.field])
            self._by_place.setdefault(one.place, []).append(held)
        else:
            self._mentions.append(held)
        return held

    def _release(self, held: _Held) -> None:
        del self._held[held.condition]
        if not isinstance(held.condition, Asked):
            self._mentions.remove(held)
            return
        place = self._by_place[held.condition.place]
        place.remove(held)
        if not place:
            del self._by_place[held.condition.place]

    def _turn(self, held: _Held, machine: int, is_in: bool, turned: set[str]) -> None:
        if is_in != (machine in held.machines):
            (held.machines.add if is_in else held.machines.discard)(machine)
            turned |= held.users

    def _holds(self, one: Condition, machine: int) -> bool:
        return (machine in self._held[one].machines) != _is_contrary(one)

    def _combined(self, query: Query, rows: BitMap) -> BitMap:
        def of(one: Condition) -> BitMap:
            machines = self._held[one].machines
            return rows - machines if _is_contrary(one) else machines

        return combined(query, rows, of).copy()


def _is_contrary(one: Condition) -> bool:
    return isinstance(one, Asked) and one.operator is Operator.IS_NOT
