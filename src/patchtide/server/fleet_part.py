"""Some of the machines, counted by themselves: what the view counts for all is not asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.compliance.counting import Counting
from patchtide.domain.compliance.ground import Ground, Held
from patchtide.domain.compliance.judgement import Doubt
from patchtide.domain.compliance.overtaken import Overtaken, moved
from patchtide.domain.compliance.scopes import Classes, Together, classes_of
from patchtide.domain.compliance.states import Tally
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.member import Member


class Part:
    """Good within the question that asked for it: the sets are the view's own."""

    def __init__(
        self, ground: Ground, overtaken: Overtaken[UUID], members: BitMap, restarting: BitMap
    ) -> None:
        self._ground = ground.among(members)
        self._overtaken = overtaken
        self._restarting = restarting
        self._waiting = ground.among(members & restarting)
        self.members = members

    @property
    def asked(self) -> BitMap:
        """Return those whose word is believed."""
        return self._ground.asked

    def tally(self, update: KnownUpdate) -> Tally:
        told = self._ground.tally(update.leaves)
        if not told.required:
            return told
        return self._overtaken.tally(update.id, told, among=self.members)

    def restarting_with(self, update: KnownUpdate) -> int:
        """Return how many of those that have the update wait for a restart."""
        return self._waiting.tally(update.leaves).installed if self._restarting else 0

    def held(self, update: KnownUpdate) -> Held:
        told = self._ground.held(update.leaves)
        return self._overtaken.held(update.id, told, among=self.members)

    def tallies(self, updates: Sequence[KnownUpdate]) -> Callable[[Member], Tally]:
        """Return what counts how many of these updates stand how on one of the machines.

        From what the machine said itself: good for a page of machines, or where all is wanted.
        """
        counting = Counting({update.id: update.leaves for update in updates})
        overtaken = self._overtaken.counts(update.id for update in updates)
        nothing, asked = Tally(unknown=len(updates)), self.asked

        def tally(member: Member) -> Tally:
            if member.number not in asked:
                return nothing
            told = counting.tally(member.states)
            return moved(told, overtaken.of(member.number)) if told.required else told

        return tally

    def required(self, updates: Sequence[KnownUpdate]) -> Callable[[Member], int]:
        """Return what says how many of these a machine requires; quick where all are asked."""
        counts = self._ground.required(u.leaves[0] for u in updates if len(u.leaves) == 1)
        for update in updates:
            if len(update.leaves) != 1:
                counts.add(self._ground.held(update.leaves).required)
        overtaken = self._overtaken.counts(update.id for update in updates)
        return lambda member: counts.of(member.number) - overtaken.of(member.number)

    def together(self, updates: Sequence[KnownUpdate]) -> Together:
        """Return who requires some of the updates, has some, or leaves some in doubt."""
        plain = [u for u in updates if len(u.leaves) == 1 and u.id not in self._overtaken]
        alone = (u for u in updates if len(u.leaves) != 1 or u.id in self._overtaken)
        first = self._ground.together(u.leaves[0] for u in plain)
        required, installed, doubtful = first.required, first.installed, first.unknown
        for held in map(self.held, alone):
            required |= held.required
            installed |= held.installed
            doubtful |= held.unknown
        return Together(
            required=required,
            installed=installed,
            doubtful=doubtful,
            behind=self.behind(updates),
        )

    def classes(self, updates: Sequence[KnownUpdate], *, doubts: Mapping[Doubt, BitMap]) -> Classes:
        """Return how they stand on these updates; `doubts`: who is not believed, and why."""
        return classes_of(
            self.members, self.together(updates), doubts=doubts, restarting=self._restarting
        )

    def behind(self, updates: Sequence[KnownUpdate]) -> BitMap:
        """Return who evaluated some of these updates in an older revision."""
        return self._ground.late(leaf for update in updates for leaf in update.leaves)
