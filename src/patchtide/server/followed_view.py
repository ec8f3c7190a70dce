"""What followers put into the view of the fleet, and which of its counts that undoes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import starmap
from uuid import UUID

from msgspec import structs
from pyroaring import BitMap

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.judged import Judged
from patchtide.domain.catalog.supersedence import Supersedence
from patchtide.domain.compliance.counting import Counting
from patchtide.domain.compliance.index import Change
from patchtide.domain.compliance.judgement import Doubt
from patchtide.domain.compliance.published import Published
from patchtide.domain.compliance.states import States, state_of
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import Catalog, KnownUpdate
from patchtide.server.machine_standings import Standings
from patchtide.server.member import Member, Said
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.reports import StateRow
from patchtide.server.ports.update_lists import StoredList


@dataclass(slots=True)
class FollowedView(View):
    """The fleet as whoever follows it writes it down. Everybody else only asks a `View`."""

    def emptied(self) -> FollowedView:
        return FollowedView(now=self.now, version=next(self._versions), _versions=self._versions)

    def copied(self) -> FollowedView:
        """Return the same with all that is changed in place its own, and no count kept."""
        return replace(
            self,
            members=dict(self.members),
            numbers=dict(self.numbers),
            updates=dict(self.updates),
            heard_at=dict(self.heard_at),
            active=self.active.copy(),
            restarting=self.restarting.copy(),
            cut=self.cut.copy(),
            _index=self._index.copied(),
            _by_member={},
            _by_update={},
            _counted={},
            _by_restarting={},
            _ground=None,
            _restarting_ground=None,
            _overtaken=None,
            _believed=self._believed.copy(),
            _silences=self._silences.copied(),
            _standings=_unjudged(self.members),
        )

    def put_clients(self, clients: Collection[Client]) -> None:
        for client in clients:
            known = self.members.get(client.number)
            self.members[client.number] = (
                Member(client=client) if known is None else structs.replace(known, client=client)
            )
            self.numbers[client.uuid] = client.number
            if client.state is ClientState.ACTIVE:
                self.active.add(client.number)
            else:
                self.active.discard(client.number)
        if clients:
            self._moved_on([client.number for client in clients])
            self._changed()
            self.decided = self.version

    def put_rows(self, told: Iterable[Said]) -> None:
        """Put what machines reported last, as far as it speaks of what is published."""
        latest = {said.row.client: said for said in told if said.row.client in self.members}
        if not latest:
            return
        moves = [(self.members[n], self._told_by(self.members[n], s)) for n, s in latest.items()]
        self.members.update((after.number, after) for _, after in moves)
        moved = self._index.put([Change(b.number, b.states, a.states) for b, a in moves])
        for number in latest:
            self._by_member.pop(number, None)
        self._moved_on(latest.keys())
        if self._ground is None or not all(starmap(self._stands_on_the_same_ground, moves)):
            self._changed()
            return
        self.version = next(self._versions)
        for before, after in moves:
            moved.update(self._caught_up(before, after))
        for number in moved:
            self._uncount(self._by_leaf.get(number))
        if self._overtaken is not None:
            for _, after in moves:
                for update in self._overtaken.moved(after.number, self._overtaken_on(after)):
                    self._uncount(update)

    def _told_by(self, member: Member, said: Said) -> Member:
        row, states = said.row, said.states
        kept = self._published.borne_out(states, lineage=row.lineage)
        (self.cut.discard if kept == states else self.cut.add)(row.client)
        return Member(
            client=member.client,
            states=kept,
            is_of_this_catalog=self._is_of_this_catalog(row, states),
            scan=row.scan,
            scan_error=row.scan_error,
            scanned_at=said.scanned_at,
            reported_at=said.reported_at,
            aged_catalog=row.aged_catalog,
        )

    def _stands_on_the_same_ground(self, before: Member, after: Member) -> bool:
        """Say whether nothing counts otherwise but what the machine says of single leaves."""
        was, now = before.states.shards, after.states.shards
        return (
            was.keys() == now.keys()
            and all(was[shard] <= serial for shard, serial in now.items())
            and self.doubt(before) is Doubt.NONE
            and self.doubt(after) is Doubt.NONE
            # A leaf of several bundles is found by one of them alone.
            and not self.catalog.bundles
        )

    def _caught_up(self, before: Member, after: Member) -> Iterator[int]:
        """Yield the leaves that the machine has evaluated in their revision only now."""
        for shard, serial in after.states.shards.items():
            was = before.states.shards[shard]
            if was != serial and self._ground is not None:
                self._ground.advanced(after.number, shard, before=was, now=serial)
                self._restarting_ground = None
                yield from self._counting.entered(shard, after=was, upto=serial)

    def _uncount(self, update: UUID | None) -> None:
        if update is not None:
            self._by_update.pop(update, None)
            self._by_restarting.pop(update, None)
            self._counted.pop(update, None)

    def _overtaken_on(self, member: Member) -> set[UUID]:
        """Return what the machine would require but for something newer."""
        named = (self._by_leaf.get(number) for number in member.states.required)
        candidates = {u for u in named if u is not None and self._supersedence.is_superseded(u)}
        stands = self.states_on(member)
        return {
            u
            for u in candidates
            if state_of(member.states, self.updates[u].leaves) is LeafState.REQUIRED
            and stands(self.updates[u]) is LeafState.NOT_REQUIRED
        }

    def _is_of_this_catalog(self, row: StateRow, states: States) -> bool:
        return row.lineage == self.lineage and not self._published.is_ahead(states)

    def put_heard(
        self, restarting: Mapping[int, bool], *, at: Mapping[int, float] | None = None
    ) -> None:
        """Put which machines said that they wait for a restart, which that they do not, and when.

        When a machine was heard is no change: a view of the same version may know better.
        """
        self.heard_at.update(at or {})
        known = BitMap(self.restarting)
        self.restarting |= BitMap(number for number, waits in restarting.items() if waits)
        self.restarting -= BitMap(number for number, waits in restarting.items() if not waits)
        if self.restarting != known:
            self._standings.changed((self.restarting ^ known) & BitMap(self.members))
            self.version = next(self._versions)
            self._restarting_ground = None
            self._counted.clear()

    def put_catalog(self, lineage: bytes, serials: Mapping[str, int], catalog: Catalog) -> None:
        """Put what is published now; the rows of those in `cut` are to be put once more."""
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

    def put_lists(self, lists: Iterable[StoredList], *, gone: Collection[str] = ()) -> None:
        kept = {name: one for name, one in self.lists.items() if name not in gone}
        self.lists = {**kept, **{one.name: one for one in lists}}
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
