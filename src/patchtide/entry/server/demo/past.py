"""The last weeks, as they would have been counted day by day.

Machines stand at any moment where their habits put them, so what was counted on a day can be said
afterwards. For a large fleet it is said of some machines, which stand for the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from math import ceil
from uuid import UUID

from patchtide.domain.catalog.details import UpdateDetails
from patchtide.domain.compliance.history import UpdateCount
from patchtide.domain.compliance.judgement import Doubt
from patchtide.entry.server.demo.machines import Person, person
from patchtide.entry.server.demo.stock import Standing, Stock
from patchtide.entry.server.node import Server
from patchtide.server.history_progress import Progress, progressed
from patchtide.server.history_rows import CountRow, DayRow, UpdateColumns, pack_blocks, pack_day
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.history import StoredDay
from patchtide.wire.sets import decode_set

DAYS = 60
SAMPLE = 1000
PLACES_AT_ONCE = 500
ACTOR, OPERATION = "system", "history.count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What it is reckoned from. `places`: under which number an update is counted."""

    stock: Stock
    people: Sequence[Person]
    each: int
    """So many machines one of them stands for."""
    places: Mapping[int, int]
    released: Sequence[float]


@dataclass(slots=True)
class _Tally:
    standing: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)
    by_standing: Counter[Standing] = field(default_factory=Counter)


async def remember(
    server: Server, clients: Sequence[Client], stock: Stock, *, numbers: Mapping[UUID, int]
) -> None:
    """Write down the days before today, and today as far as it has come."""
    active = [client for client in clients if client.state is ClientState.ACTIVE]
    told = server.storage.update_details()
    known = [one for one in told if one.update in numbers]
    past = Past(
        stock=stock,
        people=[person(client) for client in active[:: ceil(len(active) / SAMPLE)]],
        each=ceil(len(active) / SAMPLE),
        places={numbers[one.update]: place for place, one in enumerate(known)},
        released=[one.released.timestamp() if one.released else 0.0 for one in known],
    )
    now = server.context.clock.now()
    await _place(server, known, now=now)
    progress: Progress | None = None
    for ago in range(DAYS, -1, -1):
        day = now.date() - timedelta(days=ago)
        at = min(now, datetime.combine(day, time(23, 55), now.tzinfo))
        row, columns = _counted(past, at)
        progress = progressed(progress, columns, day=day)
        await _write(server, day, at, row=row, columns=columns, progress=progress, now=now)


async def _place(server: Server, known: Sequence[UpdateDetails], *, now: datetime) -> None:
    updates = [one.update for one in known]
    for start in range(0, len(updates), PLACES_AT_ONCE):
        part = updates[start : start + PLACES_AT_ONCE]

        def work(tx: Transaction, start: int = start, part: Sequence[UUID] = part) -> None:
            tx.fleet_history.add_places(start, part)

        await server.storage.decide(ACTOR, OPERATION, work, now=now)


async def _write(
    server: Server,
    day: date,
    at: datetime,
    *,
    row: DayRow,
    columns: UpdateColumns,
    progress: Progress,
    now: datetime,
) -> None:
    stored = StoredDay(day=day, at=at, document=pack_day(row))
    blocks, came = pack_blocks(columns), progress.packed()

    def work(tx: Transaction) -> None:
        tx.fleet_history.put_day(stored, blocks=blocks, pairs={}, progress=came)

    await server.storage.decide(ACTOR, OPERATION, work, now=now)


def _counted(past: Past, at: datetime) -> tuple[DayRow, UpdateColumns]:
    tally = _Tally()
    for one in past.people:
        if doubt := _doubt(one):
            tally.doubts[doubt] += past.each
            tally.standing["unknown"] += past.each
            continue
        standing = past.stock.standing(one, at=at.timestamp())
        tally.by_standing[standing] += past.each
        how = "restart" if one.restart else "compliant"
        tally.standing["required" if standing.required else how] += past.each
    fleet = CountRow(
        compliant=tally.standing["compliant"],
        required=tally.standing["required"],
        restart=tally.standing["restart"],
        unknown=tally.standing["unknown"],
        updates=sum(released <= at.timestamp() for released in past.released),
    )
    row = DayRow(
        node="demo",
        fleet=fleet,
        waiting=0,
        quarantined=0,
        reporting=len(past.people) * past.each - tally.doubts[Doubt.STALE],
        doubts=dict(tally.doubts),
    )
    return row, _columns(past, tally.by_standing)


def _doubt(one: Person) -> str:
    if one.never:
        return Doubt.NEVER_REPORTED
    if one.error:
        return Doubt.SCAN_FAILED
    return Doubt.STALE if one.silent_s else ""


def _columns(past: Past, by_standing: Mapping[Standing, int]) -> UpdateColumns:
    required: Counter[int] = Counter()
    installed: Counter[int] = Counter()
    for standing, machines in by_standing.items():
        for counter, numbers in ((required, standing.required), (installed, standing.installed)):
            for number in decode_set(numbers):
                counter[past.places[number]] += machines
    columns = UpdateColumns.of_length(len(past.places))
    for place in range(len(past.places)):
        count = UpdateCount(required=required[place], installed=installed[place])
        columns.put(place, count)
    return columns
