"""What followers put into the view of the fleet, and which of its counts that undoes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from msgspec import structs
from pyroaring import BitMap

from patchtide.domain.catalog.judged import Judged
from patchtide.domain.catalog.supersedence import Supersedence
from patchtide.domain.compliance.counting import Counting
from patchtide.domain.compliance.index import StateIndex
from patchtide.domain.compliance.published import Published
from patchtide.domain.schedules.scanning import Habit, ScanRule
from patchtide.server.asked_view import AskedView
from patchtide.server.collection_asks import asking
from patchtide.server.fleet_checkpoint import Checkpoint
from patchtide.server.heard_lately import HeardLately
from patchtide.server.kept_tallies import KeptTallies
from patchtide.server.known_updates import Catalog, KnownUpdate
from patchtide.server.machine_standings import Moves, Standings
from patchtide.server.member import UNHEARD, Member, Said, Spoken, place_of
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.following import Cursor
from patchtide.server.ports.update_lists import StoredList
from patchtide.server.unsettled import Unsettled


@dataclass(slots=True)
class FollowedView(AskedView):
    """The fleet as whoever follows it writes it down. Everybody else only asks a `View`."""

    def emptied(self) -> FollowedView:
        return FollowedView(
            now=self.now,
            version=next(self._versions),
            _versions=self._versions,
            habits=dict(self.habits),
            told_last=self.told_last,
        )

    def copied(self) -> FollowedView:
        """Return the same with all that is changed in place its own, and no count kept."""
        self.settle()
        return replace(
            self,
            members=dict(self.members),
            numbers=dict(self.numbers),
            updates=dict(self.updates),
            heard_at=dict(self.heard_at),
            heard=Moves(),
            _lately=self._lately.copied(),
            spoken=dict(self.spoken),
            habits=dict(self.habits),
            active=self.active.copy(),
            present=self.present.copy(),
            restarting=self.restarting.copy(),
            cut=self.cut.copy(),
            _index=self._index.copied(),
            _by_member={},
            _by_named={},
            _by_update=KeptTallies(),
            _counted={},
            _by_restarting={},
            _ground=None,
            _restarting_ground=None,
            _overtaken=None,
            _believed=self._believed.copy(),
            _silences=self._silences.copied(),
            _standings=_unjudged(self.members),
            _unsettled=Unsettled(),
        )

    @property
    def index(self) -> StateIndex:
        self.settle()
        return self._index

    def kept(self, *, decided: Cursor, listened: datetime) -> Checkpoint | None:
        """Return what a later run can go on from: in a stream, as counts have those who reported.

        Others need not wait until counts follow: what they do not speak of is read again then.
        """
        rest = self._unsettled
        reported = self.reached if rest.is_laid else rest.reached
        if reported is None:
            return None
        return Checkpoint(
            reported=reported,
            decided=decided,
            listened=listened,
            lineage=self.lineage,
            members=dict(self.members),
            earlier=dict(rest.earlier),
            index=self._index.copied(),
            cut=self.cut.copy(),
            restarting=self.restarting.copy(),
            heard_at=dict(self.heard_at),
            spoken=dict(self.spoken),
            habits=dict(self.habits),
        )

    def put_kept(self, checkpoint: Checkpoint) -> None:
        """Go on from what was written down; what is published is still to be put."""
        self.members = dict(checkpoint.members)
        self.numbers = {m.client.uuid: number for number, m in self.members.items()}
        self.active, self.present = BitMap(), BitMap()
        for member in self.members.values():
            self._let_in(member.client)
        self.restarting, self.cut = checkpoint.restarting, checkpoint.cut
        self.heard_at = dict(checkpoint.heard_at)
        self._lately = HeardLately()
        self.spoken, self.habits = dict(checkpoint.spoken), dict(checkpoint.habits)
        self.reached = checkpoint.reported
        self._index = checkpoint.index
        self._moved_on(self.members.keys())
        self._changed()
        self.decided = self.version

    def put_clients(self, clients: Collection[Client]) -> None:
        for client in clients:
            known = self.members.get(client.number)
            named = place_of(client)
            self.members[client.number] = (
                Member(client=client, named=named)
                if known is None
                else structs.replace(known, client=client, named=named)
            )
            self.numbers[client.uuid] = client.number
            self._let_in(client)
        if not clients:
            return
        numbers = [client.number for client in clients]
        machines = BitMap(numbers)
        was = self._believed & machines
        self._moved_on(numbers)
        self._reground(machines, self._counting_with(was ^ (self._believed & machines)))
        self.version = next(self._versions)
        self.decided = self.version

    def _let_in(self, client: Client) -> None:
        is_in = client.state is ClientState.ACTIVE
        (self.active.add if is_in else self.active.discard)(client.number)
        is_there = client.state is not ClientState.DECOMMISSIONED
        (self.present.add if is_there else self.present.discard)(client.number)

    def put_rows(self, told: Iterable[Said], *, gathers: bool = False) -> None:
        """Put what machines reported last, as far as it speaks of what is published.

        `gathers`: counts of updates need not speak of them before somebody has the view settle.
        """
        latest = {said.client: said for said in told if said.client in self.members}
        moves = [(self.members[n], self._told_by(self.members[n], s)) for n, s in latest.items()]
        if moves:
            was_believed = self._believed & BitMap(latest.keys())
            self.members.update((after.number, after) for _, after in moves)
            for number in latest:
                self._by_member.pop(number, None)
            self._moved_on(latest.keys())
            self.version = next(self._versions)
            self._unsettled.gather(
                moves, was_believed=was_believed, now=self.now, reached=self.reached
            )
        if not gathers:
            self.settle()

    def _told_by(self, member: Member, said: Said) -> Member:
        kept = self._published.borne_out(said.states, lineage=said.lineage)
        is_whole = kept is said.states
        (self.cut.discard if is_whole or kept == said.states else self.cut.add)(said.client)
        return Member(
            client=member.client,
            named=member.named,
            states=kept,
            # What is borne out whole names nothing that is still to come here.
            is_of_this_catalog=is_whole or self._is_of_this_catalog(said),
            scan=said.scan,
            scan_error=said.scan_error,
            scanned_at=said.scanned_at,
            reported_at=said.reported_at,
            aged_catalog=said.aged_catalog,
        )

    def _is_of_this_catalog(self, said: Said) -> bool:
        return said.lineage == self.lineage and not self._published.is_ahead(said.states)

    def put_heard(
        self,
        restarting: Mapping[int, bool],
        *,
        at: Mapping[int, float] | None = None,
        spoken: Mapping[int, Spoken] | None = None,
    ) -> None:
        """Put which machines said that they wait for a restart, which that they do not, and when.

        When a machine was heard is no change: a view of the same version may know better. What
        else it said is one.
        """
        if at:
            self._lately.heard(at, before=self.heard_at)
            self.heard_at.update(at)
            self.heard.add(at)
        otherwise = {n: s for n, s in (spoken or {}).items() if self.spoken.get(n, UNHEARD) != s}
        if otherwise:
            self.spoken.update(otherwise)
            self._standings.changed(number for number in otherwise if number in self.members)
            self.version = next(self._versions)
        waiting = BitMap([number for number, waits in restarting.items() if waits])
        others = (self.restarting & BitMap(restarting)) ^ waiting
        if others:
            self.restarting ^= others
            self._standings.changed(number for number in others if number in self.members)
            self.version = next(self._versions)
            self._restarting_ground = None
            self._counted.clear()

    def put_catalog(self, lineage: bytes, serials: Mapping[str, int], catalog: Catalog) -> None:
        """Put what is published now; the rows of those in `cut` are to be put once more."""
        self.settle()
        updates = catalog.updates
        self._published = Published.of(lineage, serials, (u.leaves for u in updates.values()))
        self.catalog, self.updates = catalog, dict(updates)
        self._counting = Counting({key: update.leaves for key, update in updates.items()})
        self._supersedence = Supersedence({u.id: u.supersedes for u in catalog.all()})
        self._by_leaf = {leaf.number: u.id for u in updates.values() for leaf in u.leaves}
        self._by_member.clear()
        self._standings.changed(self.members)
        self._changed()
        self.told = self.version

    def put_described(self, updates: Iterable[KnownUpdate]) -> None:
        """Put what people read of updates anew; leaves and supersedence are the same."""
        self.updates.update((update.id, update) for update in updates)
        self._counted.clear()
        self.told = self.version = next(self._versions)

    def put_judged(self, judged: Judged) -> None:
        self.judged = judged
        self._counted.clear()
        self.told = self.version = next(self._versions)

    def put_scan_rule(self, rule: ScanRule) -> None:
        """Judge reports by another rule of how old they may be."""
        self.scan_rule = rule
        self._aged_at = None
        self.version = next(self._versions)

    def put_habits(self, habits: Mapping[int, Habit | None]) -> None:
        """Judge these machines by other habits; None: by those of the whole site."""
        known = {number: self._rule_of(number) for number in habits if number in self.members}
        for number, habit in habits.items():
            if habit is None:
                self.habits.pop(number, None)
            else:
                self.habits[number] = habit
        self._lately.judge_otherwise(BitMap(habits))
        self.told_last = next(self._versions)
        # How often a machine speaks changes nothing of how it stands.
        self._doubt_anew(BitMap([n for n, rule in known.items() if rule != self._rule_of(n)]))
        self.version = next(self._versions)

    def put_lists(self, lists: Iterable[StoredList], *, gone: Collection[str] = ()) -> None:
        kept = {name: one for name, one in self.lists.items() if name not in gone}
        self.lists = {**kept, **{one.name: one for one in lists}}
        self.version = next(self._versions)

    def put_collections(
        self, collections: Iterable[StoredCollection], *, gone: Collection[UUID] = ()
    ) -> None:
        kept = {key: one for key, one in self.collections.items() if key not in gone}
        self.collections = asking({**kept, **{one.id: one for one in collections}}.values())
        self.version = next(self._versions)

    def _moved_on(self, machines: Collection[int]) -> None:
        self._believe(machines)
        self._standings.changed(machines)

    def _changed(self) -> None:
        self.version = next(self._versions)
        self._ground = None


def _unjudged(members: Iterable[int]) -> Standings:
    made = Standings()
    made.changed(members)
    return made
