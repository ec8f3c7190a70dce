"""Writes down how the fleet stands, a row a day; of several nodes, one does.

What is written is the last count of a day. A server that was off has counted nothing, and its days
stay empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

import msgspec

from patchtide.domain.compliance.forecast import WINDOW
from patchtide.domain.compliance.history import day_of, is_due, outlived
from patchtide.domain.errors import StaleRevision
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.history_changes import merged, moved
from patchtide.server.history_counting import (
    FleetCount,
    SetCounts,
    fleet_count,
    unbelieved,
    unplaced,
    update_columns,
)
from patchtide.server.history_needing import needing, needing_blocks
from patchtide.server.history_pairs import pack_pairs
from patchtide.server.history_progress import Progress, progressed
from patchtide.server.history_rows import (
    Change,
    CountRow,
    DayRow,
    UpdateColumns,
    pack_blocks,
    pack_day,
    read_day,
)
from patchtide.server.history_since import first_needed
from patchtide.server.ports.audit import AuditEntry
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.ports.history import HistoryReading, StoredDay
from patchtide.server.ports.update_lists import EVERYBODY, UpdateListReading
from patchtide.server.standing_places import count_slices, unplaced_slices
from patchtide.server.synchronisation_runs import read_runs

T = TypeVar("T")
_Write = Callable[[Transaction, datetime], None]
_DAY = timedelta(days=1)
_DAYS = 20
SETTING = "history.counting"
COUNT = "history.count"
SYSTEM = "system"
LEASE = timedelta(minutes=5)
"""After which a count that was begun and not written has ended with its node."""
PLACES, PAGE = 500, 500


class HistorySource(Protocol):
    """What is read besides the view."""

    @property
    def fleet_history(self) -> HistoryReading: ...

    @property
    def update_lists(self) -> UpdateListReading: ...

    def setting(self, name: str) -> bytes | None: ...

    def audit(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditEntry]: ...

    def newest_audit(self, *, limit: int = 10) -> Sequence[AuditEntry]: ...

    def synchronisations(
        self, *, before: int | None = None, limit: int = 50
    ) -> Sequence[bytes]: ...


class Counting(msgspec.Struct, frozen=True, kw_only=True):
    """Who counts, or counted last. Times are epoch seconds; 0: never."""

    node: str = ""
    begun_at: float = 0.0
    """When somebody began to count who has not written it yet."""
    counted_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    fleet: FleetCount
    columns: UpdateColumns
    sets: SetCounts
    reporting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needed:
    """Rows by block: who needs what now, and since when whoever ever needed it."""

    today: Mapping[int, bytes]
    since: Mapping[int, bytes]


@dataclass(kw_only=True)
class HistoryRecorder:
    """Call `step` every minute."""

    fleet: Fleet
    source: HistorySource
    decisions: Decisions
    clock: Clock
    node: str
    silent_after: Callable[[], timedelta]
    _changes: list[Change] = field(default_factory=list, init=False)
    """Since the last count, in the audit up to `_upto`."""
    _upto: int | None = field(default=None, init=False)
    _counted_at: float = field(default=-1.0, init=False)

    async def step(self) -> bool:
        """Count if it is time, and nobody else does; say whether it was written."""
        now = self.clock.now()
        known = await asyncio.to_thread(self._look)
        if not self._is_due(known, now):
            return False
        # Another node may have been quicker, here or when it is written.
        with suppress(StaleRevision):
            if await self._decide(self._claim, now):
                await self._count(now)
                return True
        return False

    def _is_due(self, known: Counting, now: datetime) -> bool:
        last = datetime.fromtimestamp(known.counted_at, now.tzinfo) if known.counted_at else None
        return is_due(last, now=now, is_changed=bool(self._changes))

    def _look(self) -> Counting:
        """Return who counted last, and take up what moved counts since."""
        known = _read(self.source.setting(SETTING))
        if self._upto is None or known.counted_at != self._counted_at:
            # Whoever counted has written down what there was until then.
            self._upto, self._changes = self._looked_upto(), []
            self._counted_at = known.counted_at
        while entries := self.source.audit(after=self._upto, limit=PAGE):
            self._changes += moved(entries, brought=self._brought)
            self._upto = entries[-1].sequence
        return known

    def _looked_upto(self) -> int:
        newest = self.source.fleet_history.newest(before=day_of(self.clock.now()) + _DAY)
        if newest is not None:
            return read_day(newest.document).audit_upto
        # What was decided before anybody counted explains no step.
        return next((entry.sequence for entry in self.source.newest_audit(limit=1)), 0)

    def _brought(self, number: int) -> int:
        found = read_runs(self.source.synchronisations(before=number + 1, limit=1))
        return sum(run.new + run.revised + run.gone for run in found if run.number == number)

    def _claim(self, tx: Transaction, now: datetime) -> bool:
        known = _read(tx.lock_setting(SETTING))
        is_others = known.begun_at and known.node != self.node
        if is_others and abs(now.timestamp() - known.begun_at) < LEASE.total_seconds():
            return False
        if not self._is_due(known, now):
            return False
        begun = msgspec.structs.replace(known, node=self.node, begun_at=now.timestamp())
        tx.put_setting(SETTING, msgspec.msgpack.encode(begun))
        return True

    async def _count(self, now: datetime) -> None:
        places = dict(await asyncio.to_thread(self.source.fleet_history.places))
        sets = await self.fleet.run(self._sets)
        new = await self.fleet.run(
            lambda: self.fleet.ask_settled(
                lambda view: [*unplaced(view, places), *unplaced_slices(self.fleet, view, places)]
            )
        )
        for start in range(0, len(new), PLACES):
            part, first = new[start : start + PLACES], length_of(places)
            await self._decide(partial(self._place, first=first, updates=part), now)
            places |= {update: first + n for n, update in enumerate(part)}
        counted = await self.fleet.run(partial(self._counted, places, sets))
        needed = await self.fleet.run(partial(self._needed, places, day_of(now)))
        upto, changes = self._upto or 0, tuple(self._changes)
        written = await asyncio.to_thread(self._rows, counted, changes, now=now, upto=upto)
        await self._decide(partial(self._put_needing, needed=needed), now)
        await self._decide(written, now)
        await self._forget(now)

    def _place(self, tx: Transaction, now: datetime, *, first: int, updates: list[UUID]) -> None:
        self._require_claim(tx, now)
        tx.fleet_history.add_places(first, updates)

    def _needed(self, places: Mapping[UUID, int], today: date) -> _Needed:
        now = needing(self.fleet, places)
        history, offered = self.source.fleet_history, self.fleet.ask(lambda view: set(view.updates))
        since = first_needed(
            history, now, {places[one] for one in offered if one in places}, today=today
        )
        return _Needed(today=needing_blocks(now), since=since)

    def _put_needing(self, tx: Transaction, now: datetime, *, needed: _Needed) -> None:
        self._require_claim(tx, now)
        today = day_of(now)
        tx.fleet_history.put_needing(today, needed.today, kept_since=today - WINDOW)
        tx.fleet_history.put_needed_since(needed.since)

    def _sets(self) -> SetCounts:
        searches = self.source.update_lists.searches((EVERYBODY,))
        return SetCounts.of(self.fleet, searches, silent_after=self.silent_after())

    def _counted(self, places: dict[UUID, int], sets: SetCounts) -> _Counted:
        heard = self.fleet.heard_of_late(self.silent_after())

        def question(view: View) -> tuple[FleetCount, UpdateColumns]:
            found = fleet_count(view)
            unknown = unbelieved(found.doubts)
            columns = update_columns(view, places, length=length_of(places), unbelieved=unknown)
            count_slices(self.fleet, view, places, columns)
            return found, columns

        fleet, columns = self.fleet.ask_settled(question)
        reporting = min(fleet.machines.machines, heard)
        return _Counted(fleet=fleet, columns=columns, sets=sets, reporting=reporting)

    def _rows(
        self, counted: _Counted, changes: tuple[Change, ...], *, now: datetime, upto: int
    ) -> _Write:
        """Return what puts the count into a transaction; what takes long is done before it."""
        history, today = self.source.fleet_history, day_of(now)
        before = history.newest(before=today)
        known = history.days(first=today, last=today)
        progress = history.progress(before.day) if before else None
        earlier = read_day(known[0].document).changes if known else ()
        row = self._row(counted, merged([*earlier, *changes]), upto=upto)
        day = StoredDay(day=today, at=now, document=pack_day(row))
        blocks, pairs = pack_blocks(counted.columns), pack_pairs(counted.sets.pairs)
        came = progressed(Progress.read(progress) if progress else None, counted.columns, day=today)
        packed = came.packed()

        def write(tx: Transaction, at: datetime) -> None:
            self._require_claim(tx, at)
            tx.fleet_history.put_day(day, blocks=blocks, pairs=pairs, progress=packed)
            done = Counting(node=self.node, counted_at=at.timestamp())
            tx.put_setting(SETTING, msgspec.msgpack.encode(done))

        return write

    def _row(self, counted: _Counted, changes: tuple[Change, ...], *, upto: int) -> DayRow:
        fleet, sets = counted.fleet, counted.sets
        return DayRow(
            node=self.node,
            fleet=CountRow.of(fleet.machines, updates=fleet.updates),
            waiting=fleet.waiting,
            quarantined=fleet.quarantined,
            reporting=counted.reporting,
            doubts=fleet.doubts,
            lists=sets.lists,
            searches=sets.searches,
            left_out=sets.left_out,
            changes=changes,
            audit_upto=upto,
        )

    async def _forget(self, now: datetime) -> None:
        gone = outlived(await asyncio.to_thread(self.source.fleet_history.recorded))
        # In parts: a day is some thirty rows.
        for start in range(0, len(gone), _DAYS):
            part = gone[start : start + _DAYS]
            await self._decide(partial(_drop, days=part), now)

    def _require_claim(self, tx: Transaction, now: datetime) -> None:
        """Raises StaleRevision: another node counts, or has counted."""
        known = _read(tx.lock_setting(SETTING))
        if known.node != self.node or known.begun_at != now.timestamp():
            raise StaleRevision("another node has counted")

    async def _decide(self, work: Callable[[Transaction, datetime], T], now: datetime) -> T:
        return await self.decisions.decide(SYSTEM, COUNT, lambda tx: work(tx, now), now=now)


def length_of(places: Mapping[UUID, int]) -> int:
    """Return how far they go: some that were given once are nobody's any more."""
    return max(places.values(), default=-1) + 1


def _drop(tx: Transaction, now: datetime, *, days: Sequence[date]) -> None:
    del now
    tx.fleet_history.drop_days(days)


def _read(data: bytes | None) -> Counting:
    return msgspec.msgpack.decode(data, type=Counting) if data else Counting()
