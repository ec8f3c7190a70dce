"""The view while reports stream in: who reported is known at once, counts of updates follow.

A stream moves all updates several times a second, and to count thousands anew takes a tenth of
one. So its rows are gathered, and now and then whoever follows it has counts speak of them, in
parts of some milliseconds: who asks meanwhile waits for one of these, and is told the counts of a
moment ago.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from msgspec import structs
from pyroaring import BitMap

from patchtide.domain.compliance.index import PART, Change
from patchtide.domain.compliance.judgement import Doubt
from patchtide.server.fleet_view import View
from patchtide.server.member import Member
from patchtide.server.ports.following import Cursor
from patchtide.server.unsettled import Move, Unsettled

COUNTED = 400
"""So many updates are counted anew at once."""


@dataclass(slots=True)
class SettlingView(View):
    """A view whose counts may follow what is put into it."""

    reached: Cursor | None = None
    """How far reports were followed; None: nowhere that leads on from here."""

    @property
    def is_settled(self) -> bool:
        """Say whether counts speak of all that was put."""
        return self._unsettled.is_nothing

    @property
    def is_torn(self) -> bool:
        """Say whether counts failed to follow half-way: all is to be read anew."""
        return self._unsettled.is_torn

    def settle(self) -> None:
        """Have counts speak of all that was put; what moved is counted when it is asked for."""
        rest = self._unsettled
        if rest.is_nothing or rest.is_torn:
            return
        while rest.laying is not None:
            self._lay()
        rest.is_torn = True
        if rest.before:
            moves, was_believed = self._gathered()
            rest.laid = {}
            leaves = self._index.put(_changes(moves))
            leaves.update(*self._counted_otherwise(moves, was_believed))
            self._reground(_machines(moves), leaves)
            rest.machines.clear()
        for update in rest.stale:
            self._uncount(update)
        rest.stale.clear()
        rest.is_torn = False
        self.version = next(self._versions)

    def settle_some(self) -> bool:
        """Do a part of it, and count what moved; say whether there is more of what was there then.

        What is put meanwhile is left for the next time.
        """
        self._age()
        rest = self._unsettled
        if rest.is_torn:
            return False
        if rest.stale:
            some, rest.stale = rest.stale[:COUNTED], rest.stale[COUNTED:]
            rest.is_torn = True
            self._recount(some)
            rest.is_torn = False
        elif rest.laying is not None or rest.before:
            rest.laying = rest.laying or self._laying(*self._gathered())
            self._lay()
        return bool(rest.stale or rest.laying)

    def _gathered(self) -> tuple[Sequence[Move], BitMap]:
        before, was_believed = self._unsettled.taken()
        return [(one, self.members[one.number]) for one in before], was_believed

    def _lay(self) -> None:
        rest = self._unsettled
        rest.is_torn = True
        if rest.laying is not None and next(rest.laying, self) is self:
            rest.laying, rest.laid, rest.machines = None, {}, BitMap(rest.before)
            self.version = next(self._versions)
        rest.is_torn = False

    def let_go(self) -> None:
        """Leave what was begun, as it refers to this view: one that is replaced holds no circle."""
        self._unsettled = Unsettled()

    def _laying(self, moves: Sequence[Move], was_believed: BitMap) -> Iterator[None]:
        as_of, reached, leaves = self.now, self.reached, BitMap()
        overtaken: dict[int, set[UUID]] = {}
        for start in range(0, len(moves), PART):
            part = moves[start : start + PART]
            leaves.update(*self._counted_otherwise(part, was_believed))
            said = (now for _, now in part if self.doubt(now) is Doubt.NONE)
            overtaken.update((now.number, self._overtaken_on(now)) for now in said)
            yield
        leaves |= yield from self._index.putting(_changes(moves))
        self._unsettled.as_of, self._unsettled.reached = as_of, reached
        self._unsettled.laid = {}
        moved = self._moved_with(_machines(moves), leaves, overtaken)
        self._unsettled.stale += self._by_update.known() if moved is None else moved

    def counted_member(self, machine: int) -> Member:
        before = self._unsettled.earlier_of(machine)
        return self.members[machine] if before is None else self._as_counted(before)

    def _as_counted(self, before: Member) -> Member:
        """Return the machine as it is, but for what it reported since."""
        now = self.members[before.number]
        if now.client is before.client:
            return before
        return structs.replace(before, client=now.client, named=now.named)

    def _counted_believed(self, machines: BitMap) -> BitMap:
        some = [one for n in machines if (one := self._unsettled.earlier_of(n)) is not None]
        return self._believing(map(self._as_counted, some)) if some else self._believed

    def _believing(self, some: Iterable[Member]) -> BitMap:
        """Return who is believed, these as they are here."""
        some = list(some)
        believed = BitMap([one.number for one in some if self.doubt(one) is Doubt.NONE])
        return self._believed - BitMap([one.number for one in some]) | believed

    def _recount(self, updates: Iterable[UUID]) -> None:
        ground = self._ground
        for key in updates:
            known, update = self._by_update.get(key), self.updates.get(key)
            self._uncount(key)
            if known is not None and update is not None and ground is not None:
                self._by_update.put(key, self._tallied(update, ground))
        self.version = next(self._versions)

    def _counted_otherwise(
        self, moves: Iterable[Move], was_believed: BitMap
    ) -> Iterator[Iterable[int]]:
        """Yield leaves that count otherwise, besides those that are in another state now."""
        for before, after in () if self._ground is None else moves:
            was, now = before.number in was_believed, after.number in self._believed
            old, new = before.states, after.states
            if was and now and old.shards.keys() == new.shards.keys():
                yield from self._counting.between(old.shards, new.shards)
                continue
            if was:
                yield self._counting.depends_on(old)
            if now:
                yield self._counting.depends_on(new)


def _changes(moves: Iterable[Move]) -> Sequence[Change]:
    return [Change(before.number, before.states, now.states) for before, now in moves]


def _machines(moves: Iterable[Move]) -> BitMap:
    return BitMap([before.number for before, _ in moves])
