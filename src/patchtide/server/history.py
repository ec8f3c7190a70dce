"""How the fleet or a collection, an update, a list or a search stood day by day, and what moved it.

Days are read; today is counted from the fleet as it is now. A day that nobody counted is told of
as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.compliance.history import MachineCount, UpdateCount, day_of
from patchtide.domain.compliance.judgement import Doubt
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.collection_checks import may_ask
from patchtide.server.context import Call
from patchtide.server.history_changes import concerning
from patchtide.server.history_counting import unbelieved
from patchtide.server.history_curves import Curve, live, subject_of
from patchtide.server.history_pairs import Pair, pair_count, part_of
from patchtide.server.history_rows import BLOCK, LONGEST, CountRow, DayRow, count_at, read_day
from patchtide.server.history_sets import read_count
from patchtide.server.ports.history import HistoryReading, StoredDay
from patchtide.server.table import Input, Output

Named = Annotated[str, Meta(max_length=64)]


class ShowHistory(Input, kw_only=True, frozen=True):
    update: Annotated[UUID | None, Meta(description="Of one update.")] = None
    list: Annotated[Named, Meta(description="Of the machines, on the updates of this list.")] = ""
    search: Annotated[
        Named, Meta(description="Of the machines, on what this saved search of everybody's finds.")
    ] = ""
    collection: Annotated[
        UUID | None, Meta(description="Only of the machines in this collection, by its id.")
    ] = None
    days: Annotated[
        int, Meta(ge=1, le=LONGEST, description="How many days back, today among them.")
    ] = 90


class HistoryDay(Output, kw_only=True, frozen=True):
    date: date
    counted_at: datetime | None
    """When this was counted, the last time on that day; null: nobody counted on that day."""
    live: bool
    """It is counted now, and not yet what stands for the day."""
    machines: int | None
    """How many active machines there were; of them, in the next five."""
    compliant: int | None
    """Of an update: those that have it, or do not need it."""
    required: int | None
    restart: int | None
    """They have it, and wait for a restart."""
    unknown: int | None
    percent: float | None
    """How many of all active machines are compliant; null without machines."""
    installed: int | None
    """Of one update: how many have it, those that wait for a restart among them."""
    reporting: int | None
    """How many machines were heard of late."""
    doubts: dict[str, int]
    """Why how many are unknown on everything; of an update, why on it."""


class HistoryChange(Output, kw_only=True, frozen=True):
    at: datetime
    operation: str
    subject: str
    count: int
    """Of decisions about machines: how many; of a synchronisation: variants of updates."""
    sequence: int
    """Of the first one in the audit."""


class History(Output, kw_only=True, frozen=True):
    of: str
    """`fleet`, `update`, `list` or `search`."""
    title: str
    collection: str
    """Whose machines it is of; empty: of all."""
    is_counted: bool
    """No: of these machines no day is kept, as of some of those that were counted together."""
    known_since: date | None
    """The first day on which it was counted, as far back as was asked; null: never."""
    items: tuple[HistoryDay, ...]
    changes: tuple[HistoryChange, ...]
    """Decisions that explain steps."""


async def show(call: Call, principal: Principal, asked: ShowHistory) -> History:
    """Raises NotFound: there is no such update, list, search or collection."""
    may_ask(principal, asked.collection)
    if sum(map(bool, (asked.update, asked.list, asked.search))) > 1:
        what = "is one of two that were named: a history is of one thing"
        raise InvalidDocument([Problem("search" if asked.search else "list", what)])
    context = call.context

    def question() -> History:
        of = subject_of(context.reading.update_lists, context.fleet, asked)
        curve = live(context.fleet, context.silent_after, of=of)
        return told(context.reading.fleet_history, curve, now=call.now, days=asked.days)

    return await call.read_fleet(question)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDays:
    """What was written down from some day up to today."""

    first: date
    rows: Sequence[tuple[StoredDay, DayRow]]
    counts: Mapping[date, UpdateCount]
    """Of what has days of its own, if that is asked about."""


def kept_days(
    history: HistoryReading, key: UUID | Pair | None, *, now: datetime, days: int
) -> KeptDays:
    """Return the days, and those of the update or pair that is counted by itself."""
    today = day_of(now)
    first = today - timedelta(days=days - 1)
    stored = history.days(first=first, last=today)
    rows = [(one, read_day(one.document)) for one in stored]
    counts = {} if key is None else dict(_counted(history, key, first=first, last=today))
    return KeptDays(first=first, rows=rows, counts=counts)


def _counted(
    history: HistoryReading, key: UUID | Pair, *, first: date, last: date
) -> Iterator[tuple[date, UpdateCount]]:
    if isinstance(key, Pair):
        for day, document in history.pairs(part_of(key.collection), first=first, last=last):
            yield day, pair_count(document, key)
    elif (place := history.place(key)) is not None:
        for day, document in history.block(place // BLOCK, first=first, last=last):
            yield day, count_at(document, place)


def told(history: HistoryReading, curve: Curve, *, now: datetime, days: int) -> History:
    """Return the days up to today, and what moved the curve on them."""
    return told_of(kept_days(history, curve.key, now=now, days=days), curve, now=now)


def told_of(kept: KeptDays, curve: Curve, *, now: datetime) -> History:
    today, first, rows = day_of(now), kept.first, kept.rows
    found = {day.date: day for day in _recorded(kept, curve)}
    found[today] = _live_day(curve, now)
    since = min(found)
    missing = (first + timedelta(days=n) for n in range((today - first).days + 1))
    items = tuple(found.get(day) or _nobody(day) for day in missing if day >= since)
    return History(
        of=curve.of,
        title=curve.title,
        collection=curve.within,
        is_counted=curve.is_counted,
        known_since=min((day.date for day in items if not day.live), default=None),
        items=items,
        changes=tuple(_changes(curve, rows)),
    )


def _recorded(kept: KeptDays, curve: Curve) -> Iterator[HistoryDay]:
    if not curve.is_counted:
        return
    if curve.collection is not None:
        yield from _of_collection(kept)
        return
    if curve.update is not None:
        for stored, row in kept.rows:
            if stored.day in kept.counts:
                counts = kept.counts[stored.day]
                yield _update_day(
                    stored.day, stored.at, row.fleet.count, row.reporting, row.doubts, counts
                )
        return
    for stored, row in kept.rows:
        count = _row_of(curve, row)
        if count is not None:
            yield _machines_day(stored.day, stored.at, count.count, row.reporting, row.doubts)


def _of_collection(kept: KeptDays) -> Iterator[HistoryDay]:
    for stored, _ in kept.rows:
        count, reporting = read_count(kept.counts.get(stored.day, UpdateCount()))
        # Nobody in it, or nobody counted it: both leave nothing to show.
        if count.machines:
            yield _machines_day(stored.day, stored.at, count, reporting, {})


def _row_of(curve: Curve, row: DayRow) -> CountRow | None:
    match curve.of:
        case "list":
            return row.lists.get(name_then(curve, row))
        case "search":
            return row.searches.get(curve.title)
        case _:
            return row.fleet


def _live_day(curve: Curve, now: datetime) -> HistoryDay:
    if curve.counts is not None:
        return _update_day(
            day_of(now), now, curve.machines, curve.reporting, curve.doubts, curve.counts, live=True
        )
    return _machines_day(day_of(now), now, curve.machines, curve.reporting, curve.doubts, live=True)


def _machines_day(
    day: date,
    at: datetime,
    count: MachineCount,
    reporting: int,
    doubts: Mapping[str, int],
    *,
    live: bool = False,
) -> HistoryDay:
    return HistoryDay(
        date=day,
        counted_at=at,
        live=live,
        machines=count.machines,
        compliant=count.compliant,
        required=count.required,
        restart=count.restart,
        unknown=count.unknown,
        percent=percent(count.compliant, count.machines) if count.machines else None,
        installed=None,
        reporting=reporting,
        doubts=dict(doubts),
    )


def _update_day(
    day: date,
    at: datetime,
    fleet: MachineCount,
    reporting: int,
    doubts: Mapping[str, int],
    count: UpdateCount,
    *,
    live: bool = False,
) -> HistoryDay:
    everywhere = {x: n for x, n in doubts.items() if unbelieved({x: n})}
    own = {Doubt.OLD_CATALOG.value: count.behind, Doubt.SOME_UNKNOWN.value: count.unjudged}
    unknown = sum(everywhere.values()) + count.behind + count.unjudged
    compliant = max(0, fleet.machines - count.required - count.restart - unknown)
    return HistoryDay(
        date=day,
        counted_at=at,
        live=live,
        machines=fleet.machines,
        compliant=compliant,
        required=count.required,
        restart=count.restart,
        unknown=unknown,
        percent=percent(compliant, fleet.machines) if fleet.machines else None,
        installed=count.installed,
        reporting=reporting,
        doubts=everywhere | {x: n for x, n in own.items() if n},
    )


def _nobody(day: date) -> HistoryDay:
    return HistoryDay(
        date=day,
        counted_at=None,
        live=False,
        machines=None,
        compliant=None,
        required=None,
        restart=None,
        unknown=None,
        percent=None,
        installed=None,
        reporting=None,
        doubts={},
    )


def percent(part: int, whole: int) -> float:
    """Return the share to a tenth, cut off: 100 is all of them, of none also."""
    return part * 1000 // whole / 10 if whole else 100.0


def _changes(curve: Curve, rows: Sequence[tuple[StoredDay, DayRow]]) -> Iterator[HistoryChange]:
    for _, row in rows:
        its = "" if curve.collection is None else curve.collection.hex
        names = frozenset({curve.title, name_then(curve, row), str(curve.update), its})
        is_of_all = curve.is_counted and curve.collection is None
        for change in concerning(
            row.changes,
            of=curve.of,
            names=names,
            is_of_all=is_of_all,
            reads_catalog=curve.reads_catalog,
        ):
            yield HistoryChange(
                at=datetime.fromtimestamp(change.at, UTC),
                operation=change.operation,
                subject=change.subject,
                count=change.count,
                sequence=change.sequence,
            )


def name_then(curve: Curve, row: DayRow) -> str:
    """Return what the list was called on that day; it may have got another name since."""
    now = row.lists.get(curve.title)
    if now is not None and now.made_at == curve.made_at:
        return curve.title
    others = (name for name, one in row.lists.items() if one.made_at == curve.made_at)
    return next(others, "")
