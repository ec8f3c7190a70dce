"""What is known of the fleet at one moment: machines, updates, and who stands how on which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.judged import Judged
from patchtide.domain.catalog.risk import Exposure, RiskClass, risk_class
from patchtide.domain.catalog.supersedence import Supersedence
from patchtide.domain.catalog.updates import UpdateId
from patchtide.domain.compliance.counting import Counting
from patchtide.domain.compliance.index import Ground, Held, StateIndex, together
from patchtide.domain.compliance.judgement import (
    Compliance,
    Doubt,
    Judgement,
    Told,
    doubt_about,
    judge,
)
from patchtide.domain.compliance.overtaken import Overtaken, on_one_machine
from patchtide.domain.compliance.published import Published
from patchtide.domain.compliance.sites import Population
from patchtide.domain.compliance.states import PlacedLeaf, Tally, state_of
from patchtide.domain.errors import NotFound
from patchtide.server.fleet_part import Part
from patchtide.server.known_updates import Catalog, Counted, KnownUpdate
from patchtide.server.machine_standings import Alike, Silences, Standing, Standings
from patchtide.server.member import Member
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.update_lists import StoredList


@dataclass(slots=True)
class View:
    """The fleet. Counts are made when they are asked for, and kept until something changes."""

    now: datetime
    version: int = 0
    """Another one whenever something changed."""
    members: dict[int, Member] = field(default_factory=dict)
    numbers: dict[bytes, int] = field(default_factory=dict)
    updates: dict[UUID, KnownUpdate] = field(default_factory=dict)
    catalog: Catalog = field(default_factory=Catalog)
    judged: Judged = field(default_factory=Judged)
    lists: Mapping[str, StoredList] = field(default_factory=dict)
    told: int = 0
    """Another one whenever something changed that is told of updates, here or by their vendors."""
    decided: int = 0
    """Another one whenever something changed that was decided of machines: their names, groups."""
    heard_at: dict[int, float] = field(default_factory=dict)
    """When machines were last heard, in epoch seconds; some never were."""
    active: BitMap = field(default_factory=BitMap)
    """Machines that are let in: the only ones that counts speak of."""
    restarting: BitMap = field(default_factory=BitMap)
    """Machines where what is installed takes effect only after a restart."""
    cut: BitMap = field(default_factory=BitMap)
    """Machines that named what was not published then: to be read again when something is."""
    _versions: Iterator[int] = field(default_factory=lambda: count(1))
    """Of this view and all that were made of it: no two states have the same number."""
    _by_leaf: dict[int, UUID] = field(default_factory=dict)
    _published: Published = field(default_factory=Published)
    _index: StateIndex = field(default_factory=StateIndex)
    _counting: Counting[UUID] = field(default_factory=lambda: Counting[UUID]({}))
    _by_member: dict[int, Tally] = field(default_factory=dict)
    _by_update: dict[UUID, Tally] = field(default_factory=dict)
    _counted: dict[UUID, Counted] = field(default_factory=dict)
    _by_restarting: dict[UUID, int] = field(default_factory=dict)
    _ground: Ground | None = None
    _restarting_ground: Ground | None = None
    _supersedence: Supersedence[UUID] = field(default_factory=lambda: Supersedence[UUID]({}))
    _overtaken: Overtaken[UUID] | None = None
    _believed: BitMap = field(default_factory=BitMap)
    """Active machines whose last report can be believed, as of `_aged_at`."""
    _silences: Silences = field(default_factory=Silences)
    _aged_at: datetime | None = None
    _standings: Standings = field(default_factory=Standings)

    def risk_of(self, update: KnownUpdate, exposure: Exposure = Exposure.ORDINARY) -> RiskClass:
        """Return how urgent it is on machines that stand so."""
        return risk_class(update.severity, self.judged.rating(UpdateId(update.id)), exposure)

    @property
    def lineage(self) -> bytes:
        return self._published.lineage

    @property
    def serials(self) -> Mapping[str, int]:
        return self._published.serials

    def member(self, machine: UUID) -> Member:
        """Raises NotFound."""
        number = self.numbers.get(machine.bytes)
        if number is None:
            raise NotFound
        return self.members[number]

    def update(self, update: UUID) -> KnownUpdate:
        """Raises NotFound."""
        for one in self.known([update]):
            return one
        raise NotFound

    def known(self, updates: Iterable[UUID]) -> Iterator[KnownUpdate]:
        """Yield those of the updates that are known, offered or not."""
        catalog = self.catalog
        for key in updates:
            found = self.updates.get(key) or catalog.expired.get(key) or catalog.parts.get(key)
            if found is not None:
                yield found

    def successors(self, update: KnownUpdate) -> list[KnownUpdate]:
        """Return those that say they take its place, and are still offered."""
        said = self.known(self._supersedence.successors(update.id))
        return [one for one in said if not one.is_expired]

    def is_superseded(self, update: KnownUpdate) -> bool:
        """Say whether something that is still offered takes its place, perhaps through others."""
        expired = self.catalog.expired
        return self._supersedence.is_any_above(update.id, lambda key: key not in expired)

    def of_leaf(self, number: int) -> KnownUpdate | None:
        """Return the update that a leaf is of; None: it is published no more."""
        update = self._by_leaf.get(number)
        return None if update is None else self.updates[update]

    def placed(self, number: int) -> PlacedLeaf | None:
        """Return where a leaf is published; None: it is not."""
        update = self.of_leaf(number)
        leaves = update.leaves if update else ()
        return next((leaf for leaf in leaves if leaf.number == number), None)

    def doubt(self, member: Member) -> Doubt:
        if member.client.state is not ClientState.ACTIVE:
            return Doubt.NOT_ACTIVE
        return doubt_about(_told(member), now=self.now)

    def tally_on(self, member: Member) -> Tally:
        """Return how many updates are in which state on the machine."""
        if self.doubt(member) is not Doubt.NONE:
            return Tally(unknown=len(self.updates))
        known = self._by_member.get(member.number)
        if known is None:
            known = self._by_member[member.number] = self._counting.tally(member.states)
        if not known.required or not self._supersedence.has_any:
            return known
        return self._overtaken_now().tally_on(member.number, known)

    def judgement(self, member: Member) -> Judgement:
        doubt = self.doubt(member)
        if doubt is not Doubt.NONE:
            return Judgement(Compliance.UNKNOWN, doubt)
        tally = self.tally_on(member)
        told = replace(
            _told(member),
            restart_pending=member.number in self.restarting,
            has_old_catalog=bool(tally.unknown) and self._counting.is_behind(member.states),
        )
        return judge(told, tally)

    def standing(self, member: Member) -> Standing:
        return self.standings()[member.number]

    def standings(self) -> Mapping[int, Standing]:
        """Return how each machine stands, by its number."""
        self._age()
        self._standings.renew(self.members, self._judged)
        return self._standings.known

    def alike(self) -> Mapping[Alike, int]:
        """Return how many machines stand alike."""
        self.standings()
        return self._standings.counts

    def scans(self) -> Mapping[str, int]:
        """Return how many active machines are in which state of their scan."""
        self.standings()
        counts = self._standings.scans
        return {scan: n for (state, scan), n in counts.items() if state is ClientState.ACTIVE}

    def _judged(self, member: Member) -> Standing:
        return Standing(
            member,
            self.judgement(member),
            self.tally_on(member),
            restart_pending=member.number in self.restarting,
        )

    def restarting_with(self, update: KnownUpdate) -> int:
        """Return how many of the active machines that have the update wait for a restart."""
        if not self.restarting:
            return 0
        ground = self._current_ground()
        if self._restarting_ground is None:
            self._restarting_ground = ground.among(self.restarting)
            self._by_restarting.clear()
        known = self._by_restarting.get(update.id)
        if known is None:
            known = self._restarting_ground.tally(update.leaves).installed
            self._by_restarting[update.id] = known
        return known

    def states_on(self, member: Member) -> Callable[[KnownUpdate], LeafState]:
        """Return what says how the machine stands on an update."""
        if self.doubt(member) is not Doubt.NONE:
            return lambda update: LeafState.UNKNOWN
        if not self._supersedence.has_any:
            return lambda update: state_of(member.states, update.leaves)
        told = on_one_machine(
            self._supersedence, lambda key: state_of(member.states, self.update(key).leaves)
        )
        return lambda update: told(update.id)

    def tally_of(self, update: KnownUpdate) -> Tally:
        """Return how many active machines stand how on the update."""
        ground = self._current_ground()
        known = self._by_update.get(update.id)
        if known is None:
            told = ground.tally(update.leaves)
            known = self._overtaken_now().tally(update.id, told) if told.required else told
            self._by_update[update.id] = known
        return known

    def tallies(self, updates: Iterable[KnownUpdate]) -> list[Tally]:
        """Return how many machines stand how on each; one that did not change is the same."""
        self._current_ground()
        known = self._by_update
        return [known.get(update.id) or self.tally_of(update) for update in updates]

    def leaves_held(self) -> int:
        """Return of how many leaves is kept who is in which state."""
        return len(self._index)

    def count(self) -> None:
        """Make every count now, so that nobody has to wait for it who asks."""
        self.standings()
        for update in self.updates.values():
            self.counted(update)

    def counted(self, update: KnownUpdate) -> Counted:
        """Return the update with all that lists are sorted and filtered by."""
        self._current_ground()
        known = self._counted.get(update.id)
        if known is None:
            known = self._counted[update.id] = Counted(
                update,
                self.tally_of(update),
                self.restarting_with(update),
                self._status_of(update),
                self.risk_of(update),
                self._licence_of(update),
            )
        return known

    def _status_of(self, update: KnownUpdate) -> str:
        if update.is_expired:
            return "expired"
        return "superseded" if self.is_superseded(update) else "current"

    def _licence_of(self, update: KnownUpdate) -> str:
        if update.details is None or not update.details.licence_digest:
            return "none"
        return "accepted" if self.judged.is_free(update.details) else "open"

    def held(self, update: KnownUpdate) -> Held:
        """Return which active machines stand how on the update."""
        told = self._current_ground().held(update.leaves)
        return self._overtaken_now().held(update.id, told)

    def behind(self, update: KnownUpdate) -> int:
        """Return how many active machines are unknown since they look with an older catalog."""
        return self._current_ground().behind(update.leaves)

    def held_together(self, updates: Iterable[KnownUpdate]) -> Held:
        """Return which active machines stand how on all of these updates at once."""
        overtaken, ground = self._overtaken_now(), self._current_ground()
        alone, plain = list[KnownUpdate](), list[PlacedLeaf]()
        for update in updates:
            if update.id in overtaken:
                alone.append(update)
            else:
                plain += update.leaves
        # The leaves of several updates are as those of one: that is quick for thousands.
        held = (ground.held(plain), *map(self.held, alone))
        return together(held, members=self.active)

    def part(self, machines: BitMap) -> Part:
        """Return those of the active machines that are among these, to be counted alone."""
        some = self.active & machines
        return Part(self._current_ground(), self._overtaken_now(), some, self.restarting)

    def population(self) -> Population:
        """Return a copy of the index with the machines that count, as another site counts them."""
        believed = self._current_ground().asked.copy()
        return Population(index=self._index.copied(), members=self.active.copy(), believed=believed)

    def _overtaken_now(self) -> Overtaken[UUID]:
        ground = self._current_ground()
        if self._overtaken is None:
            self._overtaken = Overtaken(
                ground,
                self._supersedence,
                lambda key: self.update(key).leaves,
                counted=self.updates.keys(),
            )
        return self._overtaken

    def _current_ground(self) -> Ground:
        self._age()
        if self._ground is None:
            self._ground = Ground(self._index, members=self.active, believed=self._believed)
            self._by_update.clear()
            self._counted.clear()
            self._restarting_ground = self._overtaken = None
        return self._ground

    def _age(self) -> None:
        """Take up who was silent for too long: nothing else changes by itself."""
        if self._aged_at is not None and self.now < self._aged_at:
            stale = list(self.members)  # the clock was put back, and some may not be stale any more
        else:
            stale = self._silences.ended(self.members, now=self.now)
        self._aged_at = self.now
        if stale:
            self._believe(stale)
            self._standings.changed(stale)
            self._ground = None

    def _believe(self, machines: Iterable[int]) -> None:
        """Note whether the last reports of these machines can be believed now."""
        for number in machines:
            member = self.members[number]
            doubt = self.doubt(member)
            (self._believed.add if doubt is Doubt.NONE else self._believed.discard)(number)
            if member.reported_at is not None and doubt is not Doubt.STALE:
                self._silences.watch(number, member.reported_at)


def _told(member: Member) -> Told:
    return Told(
        reported_at=member.reported_at,
        scan=member.scan,
        follows_a_shard=bool(member.states.shards),
        is_of_this_catalog=member.is_of_this_catalog,
    )
