"""What counts stand on: who is believed, what the index shows of them, and how that follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.compliance.counting import Counting
from patchtide.domain.compliance.ground import Ground, Named
from patchtide.domain.compliance.index import StateIndex
from patchtide.domain.compliance.judgement import Doubt
from patchtide.domain.compliance.overtaken import Overtaken, on_one_machine
from patchtide.domain.compliance.states import state_of
from patchtide.domain.schedules.scanning import ScanRule
from patchtide.server.kept_tallies import KeptTallies
from patchtide.server.known_updates import Counted, KnownUpdate
from patchtide.server.machine_standings import Standings, Watch
from patchtide.server.machines_view import MachinesView
from patchtide.server.member import Member

MOST = 2
"""If more than this part of all leaves moved, all updates are counted anew."""


@dataclass(slots=True)
class GroundedView(MachinesView):
    """The fleet with the ground of its counts, which moves with machines and with time."""

    _index: StateIndex = field(default_factory=StateIndex)
    _counting: Counting[UUID] = field(default_factory=lambda: Counting[UUID]({}))
    _by_named: dict[UUID, Named] = field(default_factory=dict)
    _by_update: KeptTallies = field(default_factory=KeptTallies)
    _counted: dict[UUID, Counted] = field(default_factory=dict)
    _by_restarting: dict[UUID, int] = field(default_factory=dict)
    _ground: Ground | None = None
    _sized: int = 0  # how many members the ground has
    _restarting_ground: Ground | None = None
    _overtaken: Overtaken[UUID] | None = None
    _believed: BitMap = field(default_factory=BitMap)
    """Active machines whose last report can be believed, as of `_aged_at`."""
    _silences: Watch[datetime] = field(default_factory=Watch[datetime])
    """When reports may be too old."""
    _aged_at: datetime | None = None
    """None: everybody is to be looked at."""
    _standings: Standings = field(default_factory=Standings)

    def settle(self) -> None:
        """Have counts speak of all that was put. Where nobody puts anything, they do."""

    def counted_member(self, machine: int) -> Member:
        """Return the machine as counts have it."""
        return self.members[machine]

    def states_on(self, member: Member) -> Callable[[KnownUpdate], LeafState]:
        """Return what says how the machine stands on an update."""
        if self.doubt(member) is not Doubt.NONE:
            return lambda update: LeafState.UNKNOWN
        if not self._supersedence.has_any:
            return lambda update: state_of(member.states, update.leaves)
        told = on_one_machine(
            self._supersedence, lambda key: state_of(member.states, self.leaves_of(key))
        )
        return lambda update: told(update.id)

    def _overtaken_now(self) -> Overtaken[UUID]:
        return self._overtaken_in(self._current_ground())

    def _overtaken_in(self, ground: Ground) -> Overtaken[UUID]:
        if self._overtaken is None:
            self._overtaken = Overtaken(
                ground,
                self._supersedence,
                self.leaves_of,
                counted=(self._whole or self).updates.keys(),
            )
        return self._overtaken

    def _current_ground(self) -> Ground:
        self._age()
        if self._ground is None:
            self.settle()
            self._ground = Ground(self._index, members=self.active, believed=self._believed)
            self._sized = len(self.active)
            self._by_named.clear()
            self._by_update.clear()
            self._counted.clear()
            self._restarting_ground = self._overtaken = None
        return self._ground

    def _age(self) -> None:
        """Take up who was silent for too long: nothing else changes by itself."""
        if self._aged_at is None or self.now < self._aged_at:
            due: Iterable[int] = list(self.members)  # some may not be stale any more
        else:
            due = self._silences.ended(self.now)
        self._aged_at = self.now
        self._doubt_anew(BitMap(due))

    def _doubt_anew(self, machines: BitMap) -> None:
        if machines:
            was = self._believed & machines
            self._believe(machines)
            self._standings.changed(machines)
            moved = was ^ (self._believed & machines)
            self._reground(moved, self._counting_with(moved))

    def _counting_with(self, machines: Iterable[int]) -> BitMap:
        """Return the leaves that count otherwise without these machines."""
        named = (self._counting.depends_on(self.members[n].states) for n in machines)
        return BitMap().union(*named)

    def _reground(self, machines: BitMap, leaves: BitMap) -> None:
        """Take up that these machines moved, which no other leaves than these show."""
        moved = self._moved_with(machines, leaves)
        if moved is None:
            self._by_update.clear()
            self._counted.clear()
        for update in moved or ():
            self._uncount(update)

    def _moved_with(
        self,
        machines: BitMap,
        leaves: BitMap,
        overtaken: Mapping[int, set[UUID]] = MappingProxyType({}),
    ) -> set[UUID] | None:
        """Have the ground follow these machines; return whose counts that moves, None: of all.

        `overtaken`: what `_overtaken_on` said of those of them who were believed.
        """
        ground = self._ground
        if ground is None:
            return set()
        before = len(ground.asked), self._sized
        believed = self._counted_believed(machines)
        ground.renew(machines, members=self.active, believed=believed)
        self._sized = len(self.active)
        if self._restarting_ground is not None:
            waiting = self.active & self.restarting
            self._restarting_ground.renew(machines, members=waiting, believed=believed)
        turned = set[UUID]()
        if self._overtaken is not None:
            known = believed & BitMap(overtaken)
            on_each = {n: overtaken[n] for n in known}
            rest = (self.counted_member(n) for n in machines - known)
            on_each |= {one.number: self._overtaken_on(one) for one in rest}
            turned.update(self._overtaken.moved(on_each))
        if len(leaves) * MOST > len(self._by_leaf):
            # To look for each of so many takes longer than to count all.
            self._by_named.clear()
            self._by_restarting.clear()
            return None
        moved = {update for number in leaves for update in self._counting.of(number)}
        for update in moved:
            self._by_named.pop(update, None)
            self._by_restarting.pop(update, None)
        # Of nobody who came or went is nothing said: all updates count one more or less.
        return moved | turned if before == (len(ground.asked), self._sized) else None

    def _counted_believed(self, machines: BitMap) -> BitMap:
        """Return who is believed, and of these machines whose word counts speak of is."""
        return self._believed

    def _uncount(self, update: UUID) -> None:
        self._by_update.drop(update)
        self._counted.pop(update, None)

    def _overtaken_on(self, member: Member) -> set[UUID]:
        """Return what the machine would require but for something newer."""
        if not self._supersedence.has_any:
            return set()
        named = {u for number in member.states.required for u in self._counting.of(number)}
        candidates = {u for u in named if self._supersedence.is_superseded(u)}
        stands = self.states_on(member)
        return {
            u
            for u in candidates
            if state_of(member.states, self.updates[u].leaves) is LeafState.REQUIRED
            and stands(self.updates[u]) is LeafState.NOT_REQUIRED
        }

    def _believe(self, machines: Iterable[int]) -> None:
        """Note whether the last reports of these machines can be believed now."""
        usual = self._limits(self.scan_rule)
        for number in machines:
            member, own = self.members[number], self.habits.get(number)
            stale_after, settles_at = self._limits(own.scans) if own else usual
            doubt = self._doubt(member, stale_after)
            (self._believed.add if doubt is Doubt.NONE else self._believed.discard)(number)
            if member.reported_at is not None and doubt is not Doubt.STALE:
                due = member.reported_at + stale_after
                self._silences.watch(number, min(due, settles_at or due))

    def _limits(self, rule: ScanRule) -> tuple[timedelta, datetime | None]:
        """Return from which age on a report is too old, and when that is to be looked at anew."""
        return rule.stale_after(self.now), rule.settles_at(self.now)
