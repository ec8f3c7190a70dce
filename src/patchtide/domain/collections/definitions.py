"""What a collection is made of, and how collections refer to each other.

A collection has the machines that it names, those that answer to its query and those of the
collections that it includes; without those of the collections that it excludes; and of all these
only the ones that its limiting collection has. One that names nothing has nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from pyroaring import BitMap

ALL_MACHINES = UUID("00000000-0000-8000-8000-a11000000000")
"""The collection that every site has: all machines that are let in. Nobody defines it."""
ALL_MACHINES_NAME = "All machines"


class Reference(StrEnum):
    """How one collection speaks of another, in words."""

    LIMITED = "is limited to"
    INCLUDES = "includes"
    EXCLUDES = "excludes"
    ASKS = "asks for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    id: UUID
    name: str
    limiting: UUID = ALL_MACHINES
    include: tuple[UUID, ...] = ()
    exclude: tuple[UUID, ...] = ()
    query: str = ""
    asks_for: tuple[UUID, ...] = ()
    """The collections that its query names."""
    direct: BitMap = field(default_factory=BitMap)
    """The machines that it names; nobody changes this set in place."""

    def references(self) -> Iterator[tuple[Reference, UUID]]:
        """Yield the collections that it speaks of; every site has the one of all machines."""
        yield from (
            (how, other)
            for how, others in (
                (Reference.LIMITED, (self.limiting,)),
                (Reference.INCLUDES, self.include),
                (Reference.EXCLUDES, self.exclude),
                (Reference.ASKS, self.asks_for),
            )
            for other in others
            if other != ALL_MACHINES
        )


Definitions = Mapping[UUID, Definition]


@dataclass(frozen=True, slots=True)
class Step:
    """One collection on the way from one back to itself, and how it speaks of the next."""

    collection: Definition
    how: Reference


def circle_through(definitions: Definitions, start: UUID) -> tuple[Step, ...]:
    """Return a shortest way from the collection back to itself; none: empty."""
    came: dict[UUID, Step] = {}
    ways = deque([start])
    while ways:
        here = ways.popleft()
        if (collection := definitions.get(here)) is None:
            continue
        for how, other in collection.references():
            if other not in came:
                came[other] = Step(collection, how)
                ways.append(other)
            if other == start:
                return _way_back(came, start)
    return ()


def _way_back(came: Mapping[UUID, Step], start: UUID) -> tuple[Step, ...]:
    steps = [came[start]]
    while steps[-1].collection.id != start:
        steps.append(came[steps[-1].collection.id])
    return tuple(reversed(steps))


def in_words(circle: Iterable[Step]) -> str:
    """Return the way as a sentence: A includes B includes A."""
    steps = tuple(circle)
    told = [f"{step.collection.name} {step.how}" for step in steps]
    return " ".join([*told, *(step.collection.name for step in steps[:1])])


def in_turn(definitions: Definitions) -> tuple[UUID, ...]:
    """Return them so that each comes after all it speaks of; without those that lead to a circle.

    No circle is let in; should there be one all the same, nobody can say who is in it.
    """
    waits_for = {
        key: {other for _, other in one.references() if other in definitions}
        for key, one in definitions.items()
    }
    by = spoken_of_by(definitions)
    ready = deque(key for key, others in waits_for.items() if not others)
    found: list[UUID] = []
    while ready:
        here = ready.popleft()
        found.append(here)
        for other in by.get(here, ()):
            waits_for[other].discard(here)
            if not waits_for[other]:
                ready.append(other)
    return tuple(found)


def depending(definitions: Definitions, on: Iterable[UUID]) -> frozenset[UUID]:
    """Return those that speak of one of these, at once or through others; and these themselves."""
    return following(spoken_of_by(definitions), on)


def following(by: Mapping[UUID, set[UUID]], on: Iterable[UUID]) -> frozenset[UUID]:
    """Return what depends on these, and these, where it is known who speaks of which."""
    found = set(on)
    ways = list(found)
    while ways:
        new = by.get(ways.pop(), set()) - found
        found |= new
        ways.extend(new)
    return frozenset(found)


def made_of(definitions: Definitions, some: Iterable[UUID]) -> frozenset[UUID]:
    """Return those of these that are there, and all that they speak of, however far away."""
    left = [key for key in some if key in definitions]
    found = set(left)
    while left:
        named = {other for _, other in definitions[left.pop()].references()}
        new = (named & definitions.keys()) - found
        found |= new
        left += new
    return frozenset(found)


def spoken_of_by(definitions: Definitions) -> Mapping[UUID, set[UUID]]:
    """Return by collection which others speak of it."""
    found: dict[UUID, set[UUID]] = {}
    for key, one in definitions.items():
        for _, other in one.references():
            found.setdefault(other, set()).add(key)
    return found
