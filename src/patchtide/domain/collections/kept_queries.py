"""Queries over machines whose answers are kept: who moves is asked by himself.

Queries share their conditions. Of each condition is kept of whom it holds, whether let in or not;
when machines move, only the conditions on what moved are asked again, of these machines, and only
the queries with a condition that turned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import assert_never

from pyroaring import BitMap

from patchtide.domain.catalog.queries import (
    All,
    Asked,
    Condition,
    Either,
    Everything,
    Fields,
    Mentions,
    No,
    Operator,
    Query,
    combined,
    conditions,
    fits_of,
    holds,
)
from patchtide.domain.catalog.query_tests import Fits, Value, folded

FEW = 8
"""So many machines are asked one by one; more of them by sets."""
_NOBODY = BitMap()
Test = Callable[[int], bool]
Finder = Callable[[Condition], BitMap]
Told = Mapping[str, Mapping[int, Iterable[Value]]]
"""What machines' values are now, by place and machine."""


@dataclass(slots=True)
class _Held:
    """A condition: of which machines it holds, and which queries are made of it."""

    condition: Condition
    machines: BitMap
    fits: Fits | None = None
    """What it asks of a value; none: it looks for a text in what people read."""
    users: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Kept:
    query: Query
    members: BitMap
    is_open: bool
    """Whether it is answered by a machine of which none of its conditions holds."""
    answers: Test


class KeptQueries:
    """By any key. Whoever asks has told first who moved."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._held: dict[Condition, _Held] = {}
        self._by_place: dict[str, list[_Held]] = {}
        self._mentions: list[_Held] = []
        self._known = BitMap()
        """Of whom a condition may hold, and who may answer: of nobody else one does."""

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def places(self) -> Collection[str]:
        """Return what some query asks about."""
        return self._by_place

    def holding(self, place: str) -> BitMap:
        """Return of whom what is asked there holds, where that is one thing; not to be changed."""
        [held] = self._by_place[place]
        return held.machines

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

    def members(self, key: str) -> BitMap:
        """Return who answers to a query that is kept: the same set for as long as it is the same.

        It is not to be changed.
        """
        return self._kept[key].members

    def put(self, key: str, query: Query, *, fields: Fields, rows: BitMap, find: Finder) -> None:
        """Keep it. `find` says of which machines a condition holds, let in or not, `!=` as `=`."""
        asked = set(conditions(query))
        # All before any is held: what machines told may not have been read yet.
        found = {one: find(one) for one in asked if one not in self._held}
        for one in asked:
            held = self._held[one] if one in self._held else self._hold(one, fields, found[one])
            held.users.add(key)
        self._known.update(rows, *found.values())
        self._kept[key] = _Kept(
            query,
            self._combined(query, rows).copy(),
            is_open=holds(query, _is_contrary),
            answers=self._test_of(query),
        )

    def drop(self, key: str) -> None:
        kept = self._kept.pop(key)
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
        self._known.clear()

    def move(
        self, told: Told, texts: Mapping[int, str], *, rows: BitMap, came: BitMap
    ) -> Mapping[str, BitMap]:
        """Take up what machines say now, what people read of some, and who came or went.

        Returns the queries that are answered otherwise now, each with by which machines.
        """
        turned = dict.fromkeys(self._speaking_of(came), came) if came else {}
        self._known.update(came, texts, *told.values())
        for place, said in told.items():
            if place in self._by_place:
                self._ask(self._by_place[place], said, turned)
        if texts:
            self._look(texts, turned)
        return self._decided(turned, rows)

    def check(self, key: str, *, rows: BitMap, find: Finder) -> Mapping[str, BitMap]:
        """Ask a query from nothing; return what was kept wrong, as `move` returns what turned."""
        turned = {key: rows}
        for one in set(conditions(self._kept[key].query)):
            held = self._held[one]
            others = held.machines ^ find(one)
            held.machines ^= others  # the same set: queries look into it
            self._known |= others
            for user in held.users if others else ():
                turned[user] = turned.get(user, _NOBODY) | others
        return self._decided(turned, rows)

    def _speaking_of(self, came: BitMap) -> set[str]:
        """Return the queries that one of these answers, did, or has a condition of that holds."""
        found = {key for key, one in self._kept.items() if one.is_open}
        if known := came & self._known:
            found.update(k for k, one in self._kept.items() if not one.members.isdisjoint(known))
            held = (one for one in self._held.values() if not one.machines.isdisjoint(known))
            found.update(*(one.users for one in held))
        return found

    def _ask(
        self,
        asking: Iterable[_Held],
        said: Mapping[int, Iterable[Value]],
        turned: dict[str, BitMap],
    ) -> None:
        having: dict[Value, BitMap] = {}
        for machine, values in said.items():
            for value in values:
                having.setdefault(value, BitMap()).add(machine)
        those, texts = BitMap(said.keys()), {folded(value) for value in having}
        for held in asking:
            if held.fits is not None:
                wanted = held.fits.wanted
                # Whoever asks for a name asks in vain, nearly always: that is seen at once.
                may_fit = wanted is None or not wanted.isdisjoint(texts)
                _turn(held, those, _fitting(held.fits, having) if may_fit else _NOBODY, turned)

    def _look(self, texts: Mapping[int, str], turned: dict[str, BitMap]) -> None:
        those = BitMap(texts.keys())
        for held in self._mentions:
            if isinstance(held.condition, Mentions):
                wanted = held.condition.text.casefold()
                now = BitMap([machine for machine, text in texts.items() if wanted in text])
                _turn(held, those, now, turned)

    def _decided(self, turned: Mapping[str, BitMap], rows: BitMap) -> Mapping[str, BitMap]:
        """Put these machines into the queries' answers, or take them out; return what changed."""
        found = {}
        for key, some in turned.items():
            kept = self._kept[key]
            if others := self._otherwise(kept, some, rows):
                # Another set: somebody may have the one of before.
                kept.members = kept.members ^ others
                found[key] = others
        return found

    def _otherwise(self, kept: _Kept, some: BitMap, rows: BitMap) -> BitMap | None:
        if len(some) > FEW:
            return self._combined(kept.query, some & rows) ^ (kept.members & some)
        members, answers = kept.members, kept.answers
        moved = [n for n in some if (n in rows and answers(n)) is not (n in members)]
        return BitMap(moved) if moved else None  # nearly always nobody

    def _hold(self, one: Condition, fields: Fields, machines: BitMap) -> _Held:
        held = self._held[one] = _Held(one, machines.copy())
        if isinstance(one, Asked):
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

    def _test_of(self, query: Query) -> Test:
        """Return what says whether one machine answers, as the conditions hold by then."""
        match query:
            case Everything():
                return _everybody
            case Mentions() | Asked():
                machines = self._held[query].machines
                return partial(_none_of, machines) if _is_contrary(query) else machines.__contains__
            case All(members):
                return partial(_all, [self._test_of(part) for part in members])
            case Either(members):
                return partial(_any, [self._test_of(part) for part in members])
            case No(member):
                return partial(_no, self._test_of(member))
            case _:
                assert_never(query)

    def _combined(self, query: Query, rows: BitMap) -> BitMap:
        def of(one: Condition) -> BitMap:
            machines = self._held[one].machines
            return rows - machines if _is_contrary(one) else machines

        return combined(query, rows, of)


def _everybody(machine: int) -> bool:
    return True


def _none_of(machines: BitMap, machine: int) -> bool:
    return machine not in machines


def _all(tests: Sequence[Test], machine: int) -> bool:
    for answers in tests:  # noqa: SIM110 - a generator costs more than what it asks
        if not answers(machine):
            return False
    return True


def _any(tests: Sequence[Test], machine: int) -> bool:
    for answers in tests:  # noqa: SIM110
        if answers(machine):
            return True
    return False


def _no(answers: Test, machine: int) -> bool:
    return not answers(machine)


def _fitting(fits: Fits, having: Mapping[Value, BitMap]) -> BitMap:
    some = [machines for value, machines in having.items() if fits(value)]
    return BitMap().union(*some) if len(some) > 1 else some[0] if some else _NOBODY


def _turn(held: _Held, those: BitMap, now: BitMap, turned: dict[str, BitMap]) -> None:
    """Let a condition hold, of those machines, of these alone; note the queries it is part of."""
    if not now and held.machines.isdisjoint(those):
        return
    others = (held.machines & those) ^ now
    if others:
        held.machines ^= others
        for key in held.users:
            known = turned.get(key)
            if known is None:
                turned[key] = others
            elif not others <= known:
                turned[key] = known | others


def _is_contrary(one: Condition) -> bool:
    return isinstance(one, Asked) and one.operator is Operator.IS_NOT
