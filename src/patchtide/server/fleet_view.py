"""What is known of the fleet at one moment: machines, updates, and who stands how on which."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, count
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.judged import Judged
from patchtide.domain.catalog.risk import RiskClass, risk_class
from patchtide.domain.catalog.supersedence import Supersedence
from patchtide.domain.catalog.updates import UpdateId
from patchtide.domain.compliance.counting import Counting
from patchtide.domain.compliance.index import Ground, Held, StateIndex
from patchtide.domain.compliance.judgement import (
    STALE_AFTER,
    Compliance,
    Doubt,
    Judgement,
    Told,
    doubt_about,
    judge,
)
from patchtide.domain.compliance.overtaken import Overtaken, on_one_machine
from patchtide.domain.compliance.published import Published
from patchtide.domain.compliance.states import PlacedLeaf, States, Tally, state_of
from patchtide.domain.errors import NotFound
from patchtide.server.known_updates import Catalog, Counted, KnownUpdate
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.reports import StateRow
from patchtide.server.ports.update_lists import StoredList

_NO_STATES = States()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A machine and its last accepted report."""

    client: Client
    states: States = _NO_STATES
    is_of_this_catalog: bool = True
    scan: str = "none"
    scan_error: str = ""
    scanned_at: datetime | None = None
    reported_at: datetime | None = None
    aged_catalog: bool = False

    @property
    def number(self) -> int:
        return self.client.number

    @property
    def id(self) -> UUID:
        return UUID(bytes=self.client.uuid)


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
    _ground_until: datetime | None = None

    def emptied(self) -> View:
        return View(now=self.now, version=next(self._versions), _versions=self._versions)

    def copied(self) -> View:
        """Return the same with all that is changed in place its own, and no count kept."""
        return replace(
            self,
            members=dict(self.members),
            numbers=dict(self.numbers),
            updates=dict(self.updates),
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
        )

    # What is put in

    def put_clients(self, clients: Collection[Client]) -> None:
        for client in clients:
            known = self.members.get(client.number)
            self.members[client.number] = (
                Member(client=client) if known is None else replace(known, client=client)
            )
            self.numbers[client.uuid] = client.number
            if client.state is ClientState.ACTIVE:
                self.active.add(client.number)
            else:
                self.active.discard(client.number)
        if clients:
            self._changed()

    def put_row(self, row: StateRow, states: States) -> None:
        """Put what a machine reported last, as far as it speaks of what is published.

        Raises:
            ValueError, OverflowError, OSError: a time of it is none; nothing was put.
        """
        known = self.members.get(row.client)
        if known is None:
            return
        scanned_at, reported_at = _instant(row.scanned_at), _instant(row.reported_at)
        kept = self._published.borne_out(states, lineage=row.lineage)
        (self.cut.discard if kept == states else self.cut.add)(row.client)
        self._index.put(row.client, kept, old=known.states)
        now = self.members[row.client] = replace(
            known,
            states=kept,
            is_of_this_catalog=self._is_of_this_catalog(row, states),
            scan=row.scan,
            scan_error=row.scan_error,
            scanned_at=scanned_at,
            reported_at=reported_at,
            aged_catalog=row.aged_catalog,
        )
        self._by_member.pop(row.client, None)
        if self._ground is None or not self._stands_on_the_same_ground(known, now):
            self._changed()
            return
        self.version = next(self._versions)
        for number in chain(_moved(known.states, now.states), self._caught_up(known, now)):
            self._uncount(self._by_leaf.get(number))
        if self._overtaken is not None:
            for update in self._overtaken.moved(now.number, self._overtaken_on(now)):
                self._uncount(update)

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

    def put_heard(self, restarting: Mapping[int, bool]) -> None:
        """Put which machines said that they wait for a restart, and which that they do not."""
        known = BitMap(self.restarting)
        self.restarting |= BitMap(number for number, waits in restarting.items() if waits)
        self.restarting -= BitMap(number for number, waits in restarting.items() if not waits)
        if self.restarting != known:
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

    def risk_of(self, update: KnownUpdate) -> RiskClass:
        """Return how urgent it is on an ordinary machine."""
        return risk_class(update.severity, self.judged.rating(UpdateId(update.id)))

    def _changed(self) -> None:
        self.version = next(self._versions)
        self._ground = None

    # What is asked

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
        """Return those that say they take its place."""
        return list(self.known(self._supersedence.successors(update.id)))

    def is_superseded(self, update: KnownUpdate) -> bool:
        return self._supersedence.is_superseded(update.id)

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
        for number in self.active:
            self.tally_on(self.members[number])
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
        until = self._ground_until
        if self._ground is None or (until is not None and self.now >= until):
            self._ground = self._made_ground()
            self._by_update.clear()
            self._counted.clear()
            self._restarting_ground = self._overtaken = None
        return self._ground

    def _made_ground(self) -> Ground:
        believed = BitMap()
        earliest: datetime | None = None
        for number in self.active:
            member = self.members[number]
            if self.doubt(member) is Doubt.NONE and member.reported_at is not None:
                believed.add(number)
                earliest = min(earliest or member.reported_at, member.reported_at)
        # Nothing changes by itself but that a machine was silent for too long.
        self._ground_until = None if earliest is None else earliest + STALE_AFTER
        return Ground(self._index, members=self.active, believed=believed)


def _moved(before: States, after: States) -> BitMap:
    """Return the leaves that are not in the state any more in which they were."""
    return (
        (before.required ^ after.required)
        | (before.installed ^ after.installed)
        | (before.unknown ^ after.unknown)
    )


def _told(member: Member) -> Told:
    return Told(
        reported_at=member.reported_at,
        scan=member.scan,
        follows_a_shard=bool(member.states.shards),
        is_of_this_catalog=member.is_of_this_catalog,
    )


def _instant(epoch_s: float) -> datetime | None:
    return datetime.fromtimestamp(epoch_s, UTC) if epoch_s else None
