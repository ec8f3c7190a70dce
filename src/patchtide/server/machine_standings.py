"""How each machine stands, kept until something changes it; and how many stand alike.

A report changes one machine of a hundred thousand. Only those that changed since the last question
are judged again when the next one comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush
from itertools import islice
from typing import Generic, TypeVar

from msgspec import Struct

from patchtide.domain.compliance.judgement import Compliance, Doubt, Judgement
from patchtide.domain.compliance.states import Tally
from patchtide.server.member import Member
from patchtide.server.ports.clients import ClientState


class Standing(Struct, frozen=True):
    """A machine, and how it stands on all that is published."""

    member: Member
    judgement: Judgement
    tally: Tally
    restart_pending: bool
    faults: tuple[str, ...] = ()
    """What it finds wrong with itself."""
    taken_over: tuple[str, ...] = ()
    """Who else would install updates there, and is held back."""

    @property
    def group(self) -> Alike:
        return self.member.client.state, self.judgement.compliance, self.judgement.doubt

    @property
    def scan(self) -> tuple[ClientState, str]:
        return self.member.client.state, self.member.scan


Alike = tuple[ClientState, Compliance, Doubt]


MOVES_KEPT = 20_000
"""Whoever follows further behind compares all machines, which is as quick by then."""


class Moves:
    """Which machines stand otherwise, one after the other: who followed some asks for the rest."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._dropped = 0

    @property
    def end(self) -> int:
        return self._dropped + len(self._numbers)

    def add(self, numbers: Iterable[int]) -> None:
        self._numbers.extend(numbers)
        if (surplus := len(self._numbers) - MOVES_KEPT) > 0:
            # With half of the rest: who follows closely goes on.
            surplus += MOVES_KEPT // 2
            self._dropped += surplus
            del self._numbers[:surplus]

    def since(self, place: int) -> Sequence[int] | None:
        """Return who moved since the end was there; None: that is too long ago."""
        return self._numbers[place - self._dropped :] if place >= self._dropped else None


class Following:
    """How far somebody followed the moves of whichever view he is shown."""

    def __init__(self) -> None:
        self._moves: Moves | None = None
        self._place = 0

    def since(self, moves: Moves) -> Sequence[int] | None:
        """Return who moved since this was asked last; None: they are to be looked at anew."""
        some = moves.since(self._place) if moves is self._moves else None
        self._moves, self._place = moves, moves.end
        return some


@dataclass(slots=True)
class Standings:
    known: dict[int, Standing] = field(default_factory=dict)
    counts: Counter[Alike] = field(default_factory=Counter)
    scans: Counter[tuple[ClientState, str]] = field(default_factory=Counter)
    moves: Moves = field(default_factory=Moves)
    _changed: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, known: dict[int, Standing]) -> Standings:
        """Return these alone, which nothing changes."""
        return cls(
            known,
            Counter(one.group for one in known.values()),
            Counter(one.scan for one in known.values()),
        )

    def copied(self) -> Standings:
        return Standings(dict(self.known), Counter(self.counts), Counter(self.scans))

    def changed(self, machines: Iterable[int]) -> None:
        self._changed.update(machines)

    def renew(
        self,
        members: Mapping[int, Member],
        judged: Callable[[Member], Standing],
        *,
        at_most: int | None = None,
    ) -> bool:
        """Judge again whoever changed, or so many of them; say whether there are more."""
        if not self._changed:
            return False
        some = list(islice(self._changed, at_most))
        for number in some:
            before, now = self.known.get(number), judged(members[number])
            self.known[number] = now
            was = None if before is None else (before.group, before.scan)
            if was != (now.group, now.scan):
                self._count(now.group, now.scan, 1)
                if was is not None:
                    self._count(*was, -1)
        self.moves.add(some)
        self._changed.difference_update(some)
        if self._changed:
            return True
        # One that had a hundred thousand in it keeps their places, and whoever looks passes them.
        self._changed = set()
        return False

    def _count(self, group: Alike, scan: tuple[ClientState, str], by: int) -> None:
        self.counts[group] += by
        self.scans[scan] += by


At = TypeVar("At", datetime, float)


@dataclass(slots=True)
class Watch(Generic[At]):
    """When machines are to be looked at again, each watched once."""

    _due: list[tuple[At, int]] = field(default_factory=list)
    _watched: dict[int, At] = field(default_factory=dict)

    def copied(self) -> Watch[At]:
        return Watch(list(self._due), dict(self._watched))

    def watch(self, number: int, due: At) -> None:
        known = self._watched.get(number)
        # One for which that is later by now is looked at when the earlier moment has come.
        if known is None or due < known:
            self._watched[number] = due
            heappush(self._due, (due, number))

    def ended(self, now: At) -> list[int]:
        """Return who is to be looked at by now; of them nobody is watched any more."""
        ended = []
        while self._due and self._due[0][0] <= now:
            at, number = heappop(self._due)
            if self._watched.get(number) == at:
                del self._watched[number]
                ended.append(number)
        return ended
