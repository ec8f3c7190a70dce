"""The machines of the view: who they are, what they said of themselves, whose word is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.compliance.judgement import Doubt, doubt_about
from patchtide.domain.errors import NotFound
from patchtide.domain.schedules.scanning import Habit, ScanRule
from patchtide.server.catalog_view import CatalogView
from patchtide.server.heard_lately import HeardLately
from patchtide.server.machine_standings import Moves
from patchtide.server.member import UNHEARD, Member, Spoken
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.collections import StoredCollection


@dataclass(slots=True)
class MachinesView(CatalogView):
    now: datetime
    version: int = 0
    """Another one whenever something changed."""
    members: dict[int, Member] = field(default_factory=dict)
    numbers: dict[bytes, int] = field(default_factory=dict)
    decided: int = 0
    """Another one whenever something changed that was decided of machines: their names, groups."""
    heard_at: dict[int, float] = field(default_factory=dict)
    """When machines were last heard, in epoch seconds; some never were."""
    heard: Moves = field(default_factory=Moves)
    """Who was heard, one after the other."""
    spoken: dict[int, Spoken] = field(default_factory=dict)
    """What they said of themselves then."""
    active: BitMap = field(default_factory=BitMap)
    """Machines that are let in: the only ones that counts speak of."""
    present: BitMap = field(default_factory=BitMap)
    """Machines that are not retired, let in or not: those that collections are of."""
    restarting: BitMap = field(default_factory=BitMap)
    """Machines where what is installed takes effect only after a restart."""
    scan_rule: ScanRule = field(default_factory=ScanRule)
    habits: dict[int, Habit] = field(default_factory=dict)
    """Of the machines that go by others than the whole site does."""
    told_last: int = 0
    """Another one whenever some go by other habits."""
    collections: Mapping[UUID, StoredCollection] = field(default_factory=dict)
    cut: BitMap = field(default_factory=BitMap)
    """Machines that named what was not published then: to be read again when something is."""
    _lately: HeardLately = field(default_factory=HeardLately)

    def member(self, machine: UUID) -> Member:
        """Raises NotFound."""
        number = self.numbers.get(machine.bytes)
        if number is None:
            raise NotFound
        return self.members[number]

    def doubt(self, member: Member) -> Doubt:
        return self._doubt(member, self._rule_of(member.number).stale_after(self.now))

    def _doubt(self, member: Member, stale_after: timedelta) -> Doubt:
        if member.client.state is not ClientState.ACTIVE:
            return Doubt.NOT_ACTIVE
        return doubt_about(member, now=self.now, stale_after=stale_after)

    def _rule_of(self, machine: int) -> ScanRule:
        own = self.habits.get(machine)
        return own.scans if own else self.scan_rule

    def spoken_by(self, machine: int) -> Spoken:
        return self.spoken.get(machine, UNHEARD)

    def silent(self, machines: BitMap, *, silent_after: timedelta) -> BitMap:
        """Return who of these was not heard for too long: this long where no other is told."""
        return machines - self._lately.at(
            self.now.timestamp(),
            self.heard_at,
            usual_s=silent_after.total_seconds(),
            silent_after_s=partial(self._silent_after_s, silent_after.total_seconds()),
        )

    def silent_from(self, machine: int, *, silent_after: timedelta) -> float:
        """Return when it counts as silent from, unless it is heard until then; epoch seconds."""
        after_s = self._silent_after_s(silent_after.total_seconds(), machine)
        return self.heard_at.get(machine, 0.0) + after_s

    def _silent_after_s(self, usual_s: float, machine: int) -> float:
        own = self.habits.get(machine)
        return own.silent_after.total_seconds() if own else usual_s
