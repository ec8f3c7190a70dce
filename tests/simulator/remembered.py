"""Sixty days of a fleet's history, made from numbers, for pictures and measurements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from uuid import UUID

from patchtide.adapters.storage import Storage
from patchtide.domain.compliance.history import MachineCount, UpdateCount, day_of
from patchtide.server.history_progress import Progress, progressed
from patchtide.server.history_rows import (
    Change,
    CountRow,
    DayRow,
    UpdateColumns,
    pack_blocks,
    pack_day,
)
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.history import StoredDay

DAYS, CYCLE = 60, 28
OFF = frozenset({33, 34, 12})
"""Days ago on which the server was off."""


async def remember(
    storage: Storage,
    updates: Sequence[UUID],
    *,
    machines: int,
    now: datetime,
    days: int = DAYS,
    off: frozenset[int] = OFF,
) -> int:
    """Write the days before today; return how many bytes a day took at most."""

    def place(tx: Transaction) -> None:
        tx.fleet_history.add_places(0, updates)

    await storage.decide("system", "history.count", place, now=now)
    progress: Progress | None = None
    most = 0
    for ago in range(days, 0, -1):
        if ago in off:
            continue
        counts = _columns(len(updates), machines=machines, ago=ago)
        at = datetime.combine(day_of(now) - timedelta(days=ago), time(23, 55), now.tzinfo)
        progress = progressed(progress, counts, day=at.date())
        day = StoredDay(day=at.date(), at=at, document=pack_day(_row(machines, ago, at)))
        blocks, packed = pack_blocks(counts), progress.packed()
        most = max(most, len(day.document) + sum(map(len, blocks)))

        def put(
            tx: Transaction,
            day: StoredDay = day,
            blocks: Sequence[bytes] = blocks,
            packed: bytes = packed,
        ) -> None:
            tx.fleet_history.put_day(day, blocks=blocks, pairs={}, progress=packed)

        await storage.decide("system", "history.count", put, now=now)
    return most


def _row(machines: int, ago: int, at: datetime) -> DayRow:
    left = _left(machines, since=CYCLE - ago % CYCLE)
    unknown, restart = machines // 25, left // 10
    count = MachineCount(
        compliant=machines - left - restart - unknown,
        required=left,
        restart=restart,
        unknown=unknown,
    )
    began = Change("catalog.synchronised", str(90 - ago), at.timestamp(), 1000 - ago, 14)
    return DayRow(
        node="here",
        fleet=CountRow.of(count, updates=160),
        waiting=2,
        quarantined=1,
        reporting=machines - unknown,
        doubts={"stale": unknown // 2, "never-reported": unknown - unknown // 2},
        changes=(began,) if ago % CYCLE == 0 else (),
    )


def _columns(length: int, *, machines: int, ago: int) -> UpdateColumns:
    found = UpdateColumns.of_length(length)
    for place in range(length):
        came = 3 + place * 7 % 75
        whole = machines * (20 + place * 13 % 60) // 100
        if came > ago:
            left = min(whole, _left(whole, since=came - ago + place % 5))
            found.put(place, UpdateCount(required=left, installed=whole - left, restart=left // 20))
    return found


def _left(whole: int, *, since: int) -> int:
    """Return how many lack it after so many days: nine of ten of the rest go on."""
    return int(whole * 0.6 * 0.88**since)
