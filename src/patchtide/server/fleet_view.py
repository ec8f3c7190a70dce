"""What is known of the fleet at one moment: machines, updates, and who stands how on which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from pyroaring import BitMap, FrozenBitMap

from patchtide.domain.compliance.ground import Ground, Held
from patchtide.domain.compliance.judgement import Compliance, Doubt, Judgement, judge
from patchtide.domain.compliance.overtaken import moved as not_missed
from patchtide.domain.compliance.published import Published
from patchtide.domain.compliance.sites import Population
from patchtide.domain.compliance.states import PlacedLeaf, Tally
from patchtide.server.fleet_part import Part
from patchtide.server.grounded_view import GroundedView
from patchtide.server.kept_tallies import Listing
from patchtide.server.known_updates import Counted, KnownUpdate
from patchtide.server.machine_standings import Alike, Moves, Standing
from patchtide.server.member import Member
from patchtide.server.ports.clients import ClientState
from patchtide.server.unsettled import Unsettled


@dataclass(slots=True)
class View(GroundedView):
    """The fleet. Counts are made when they are asked for, and kept until something changes."""

    _versions: Iterator[int] = field(default_factory=lambda: count(1))
    """Of this view and all that were made of it: no two states have the same number."""
    _published: Published = field(default_factory=Published)
    _by_member: dict[int, Tally] = field(default_factory=dict)
    _unsettled: Unsettled = field(default_factory=Unsettled)
    counted_at: datetime | None = None
    """As of when it stands that was made of another one in a stream; None: as of now."""
    uncounted: FrozenBitMap = field(default_factory=FrozenBitMap)
    """Who reported since then."""

    @property
    def lineage(self) -> bytes:
        return self._published.lineage

    @property
    def serials(self) -> Mapping[str, int]:
        return self._published.serials

    def tally_on(self, member: Member) -> Tally:
        """Return how many updates are in which state on the machine."""
        return self._tally_on(member, self.doubt(member))

    def _tally_on(self, member: Member, doubt: Doubt) -> Tally:
        if doubt is not Doubt.NONE:
            return Tally(unknown=len((self._whole or self).updates))
        known = self._by_member.get(member.number)
        if known is None:
            known = self._by_member[member.number] = self._counting.tally(member.states)
        if not known.required or not self._supersedence.has_any:
            return known
        if member.number in self._unsettled.machines:
            return not_missed(known, len(self._overtaken_on(member)))
        return self._overtaken_now().tally_on(member.number, known)

    def judgement(self, member: Member) -> Judgement:
        doubt = self.doubt(member)
        return self._judgement(member, doubt, self._tally_on(member, doubt))

    def _judgement(self, member: Member, doubt: Doubt, tally: Tally) -> Judgement:
        if doubt is not Doubt.NONE:
            return Judgement(Compliance.UNKNOWN, doubt)
        return judge(
            tally,
            restart_pending=member.number in self.restarting,
            has_old_catalog=bool(tally.unknown) and self._counting.is_behind(member.states),
        )

    def standing(self, member: Member) -> Standing:
        return self.standings()[member.number]

    def standings(self) -> Mapping[int, Standing]:
        """Return how each machine stands, by its number."""
        self._age()
        self._standings.renew(self.members, self._judged)
        return self._standings.known

    def judge_some(self, at_most: int) -> bool:
        """Judge so many of those that moved; say whether there are more."""
        return self._standings.renew(self.members, self._judged, at_most=at_most)

    @property
    def moves(self) -> Moves:
        """Who stands otherwise, of those that `standings` returned last."""
        return self._standings.moves

    def alike(self) -> Mapping[Alike, int]:
        """Return how many machines stand alike."""
        self.standings()
        return self._standings.counts

    def doubted(self, doubt: Doubt) -> BitMap:
        """Return the active machines whose last report is doubted for this reason."""
        if all(one is not doubt for _, _, one in self.alike()):
            return BitMap()
        known, doubted = self.standings(), self.active - self._believed
        return BitMap([number for number in doubted if known[number].judgement.doubt is doubt])

    def scans(self) -> Mapping[str, int]:
        """Return how many active machines are in which state of their scan."""
        self.standings()
        counts = self._standings.scans
        return {scan: n for (state, scan), n in counts.items() if state is ClientState.ACTIVE}

    def _judged(self, member: Member) -> Standing:
        doubt = Doubt.NONE if member.number in self._believed else self.doubt(member)
        tally = self._tally_on(member, doubt)
        return Standing(
            member,
            self._judgement(member, doubt, tally),
            tally,
            restart_pending=member.number in self.restarting,
            faults=(said := self.spoken_by(member.number)).faults,
            taken_over=said.taken_over,
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

    def tally_of(self, update: KnownUpdate) -> Tally:
        """Return how many active machines stand how on the update."""
        ground = self._current_ground()
        known = self._by_update.get(update.id)
        if known is None:
            known = self._tallied(update, ground)
            self._by_update.put(update.id, known)
        return known

    def _tallied(self, update: KnownUpdate, ground: Ground) -> Tally:
        named = self._by_named.get(update.id)
        if named is None:
            named = self._by_named[update.id] = ground.named(update.leaves)
        told = ground.tally_of(named)
        return self._overtaken_in(ground).tally(update.id, told) if told.required else told

    def tallies(self, updates: Iterable[KnownUpdate]) -> list[Tally]:
        """Return how many machines stand how on each."""
        self._current_ground()
        return [self._by_update.get(update.id) or self.tally_of(update) for update in updates]

    def listed_tallies(self, asked: Listing) -> tuple[Sequence[Tally], Sequence[int] | None]:
        """Return how many machines stand how on each; see `KeptTallies.listed`."""
        self._current_ground()
        return self._by_update.listed(asked, self.tally_of)

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
                self.status_of(update),
                self.risk_of(update),
                self.licence_of(update),
            )
        return known

    def held(self, update: KnownUpdate) -> Held:
        """Return which active machines stand how on the update."""
        told = self._current_ground().held(update.leaves)
        return self._overtaken_now().held(update.id, told)

    def needing(self, updates: Iterable[KnownUpdate]) -> BitMap:
        """Return the active machines that require some of these, but see `unsettled`."""
        ground, overtaken = self._current_ground(), self._overtaken_now()
        plain, alone = list[PlacedLeaf](), list[KnownUpdate]()
        for one in updates:
            if len(one.leaves) == 1 and one.id not in overtaken:
                plain.append(one.leaves[0])
            else:
                alone.append(one)
        found = ground.requiring(plain)
        for one in alone:
            found |= overtaken.held(one.id, ground.held(one.leaves)).required
        return found

    @property
    def unsettled(self) -> BitMap:
        """Return who reported in a stream, where what is told by update does not speak of it."""
        return self._unsettled.machines

    @property
    def as_of(self) -> datetime:
        """Return up to when all that was followed of reports is counted."""
        rest = self._unsettled
        return (self.counted_at if rest.is_laid else rest.as_of) or self.now

    def behind(self, update: KnownUpdate) -> int:
        """Return how many active machines are unknown since they look with an older catalog."""
        return self._current_ground().behind(update.leaves)

    def part(self, machines: BitMap) -> Part:
        """Return those of the active machines that are among these, to be counted alone.

        In a stream they are counted as of `as_of`.
        """
        some = self.active & machines
        return Part(self._current_ground(), self._overtaken_now(), some, self.restarting)

    def population(self) -> Population:
        """Return a copy of the index with the machines that count, as another site counts them."""
        self.settle()
        believed = self._current_ground().asked.copy()
        return Population(index=self._index.copied(), members=self.active.copy(), believed=believed)

    def as_counted(self) -> View:
        """Return the view as its counts have it. Where nobody puts anything, it is."""
        return self
