"""Which updates take the place of which, through chains, joins and cycles.

Feeds name the older ones that an update replaces, as they like: several at once, over gaps, and
now and then in a circle. Those of one circle take nobody's place within it, since nobody can say
which is the newer; whoever supersedes one of them supersedes all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)
S = TypeVar("S", bound="Joined")


class Joined(Protocol):
    """Places that can be put together: sets of machines, or yes and no on one machine."""

    def __or__(self: S, other: S, /) -> S: ...


@dataclass(frozen=True, slots=True)
class _Circle(Generic[K]):
    """Updates that supersede each other; nearly always one alone."""

    members: Sequence[K]
    successors: Collection[int]
    """The places, in the order of all circles, of those that supersede a member."""


class Supersedence(Generic[K]):
    """Made once for a catalog: `{update: those that it says it supersedes}`.

    What is superseded but not in the catalog is left out; so is an update that names itself.
    """

    def __init__(self, supersedes: Mapping[K, Collection[K]]) -> None:
        successors: dict[K, list[K]] = {update: [] for update in supersedes}
        for update, older in supersedes.items():
            for one in dict.fromkeys(older):
                if one in successors and one != update:
                    successors[one].append(update)
        self._circles = list(_circles(successors))
        self._has_any = any(circle.successors for circle in self._circles)
        self._place = {
            update: place for place, circle in enumerate(self._circles) for update in circle.members
        }
        self._successors = {
            update: tuple(s for s in some if self._place[s] != self._place[update])
            for update, some in successors.items()
            if some
        }

    @property
    def has_any(self) -> bool:
        """Say whether anything is superseded at all."""
        return self._has_any

    def successors(self, update: K) -> Sequence[K]:
        """Return those that say they supersede this one, without those of its own circle."""
        return self._successors.get(update, ())

    def is_superseded(self, update: K) -> bool:
        place = self._place.get(update)
        return place is not None and bool(self._circles[place].successors)

    def is_any_above(self, update: K, holds: Callable[[K], bool]) -> bool:
        """Say whether it holds of anything that takes the update's place; the nearest first."""
        place = self._place.get(update)
        wave = () if place is None else self._circles[place].successors
        seen: set[int] = set()
        while wave := [one for one in dict.fromkeys(wave) if one not in seen]:
            if any(holds(member) for one in wave for member in self._circles[one].members):
                return True
            seen.update(wave)
            wave = [further for one in wave for further in self._circles[one].successors]
        return False

    def above(self, where: Callable[[K], S], *, nowhere: S) -> Mapping[K, S]:
        """Return, for every superseded update, where any of those holds that take its place.

        Also through others: what superseded a successor does too. One step an edge, whatever the
        length of a chain.
        """
        own: dict[int, S] = {}
        reached: dict[int, S] = {}
        for place, circle in enumerate(self._circles):
            if not circle.successors:
                continue
            found = nowhere
            for successor in circle.successors:
                if successor not in own:
                    own[successor] = _joined(map(where, self._circles[successor].members), nowhere)
                found = found | own[successor] | reached.get(successor, nowhere)
            reached[place] = found
        return {u: found for place, found in reached.items() for u in self._circles[place].members}


def _joined(places: Iterator[S], nowhere: S) -> S:
    found = nowhere
    for one in places:
        found = found | one
    return found


def _circles(successors: Mapping[K, Sequence[K]]) -> Iterator[_Circle[K]]:
    """Yield every circle once, those that supersede it before it (Tarjan 1972, without recursion).

    A chain of updates can be longer than the interpreter's stack is deep.
    """
    walk = _Walk(successors)
    place: dict[K, int] = {}
    count = 0
    for start in successors:
        for members in walk.from_(start):
            outside = {place[s] for one in members for s in successors[one] if s in place}
            place.update(dict.fromkeys(members, count))
            yield _Circle(members, tuple(sorted(outside)))
            count += 1


class _Walk(Generic[K]):
    def __init__(self, successors: Mapping[K, Sequence[K]]) -> None:
        self._successors = successors
        self._met: dict[K, int] = {}
        self._low: dict[K, int] = {}
        self._open: dict[K, None] = {}
        """Those whose circle is not known yet, in the order in which they were met."""

    def from_(self, start: K) -> Iterator[list[K]]:
        if start in self._met:
            return
        path = [(start, self._enter(start))]
        while path:
            update, rest = path[-1]
            further = next(rest, None)
            if further is None:
                path.pop()
                if path:
                    self._lower(path[-1][0], self._low[update])
                if self._low[update] == self._met[update]:
                    yield self._closed(update)
            elif further not in self._met:
                path.append((further, self._enter(further)))
            elif further in self._open:
                self._lower(update, self._met[further])

    def _enter(self, update: K) -> Iterator[K]:
        self._met[update] = self._low[update] = len(self._met)
        self._open[update] = None
        return iter(self._successors[update])

    def _lower(self, update: K, low: int) -> None:
        self._low[update] = min(self._low[update], low)

    def _closed(self, first: K) -> list[K]:
        members: list[K] = []
        while first in self._open:
            members.append(self._open.popitem()[0])
        return members
