"""How far each update has come: on what day it was needed first, who got it since, who lacks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.catalog.risk import Exposure, RiskClass
from patchtide.domain.catalog.targets import Targets
from patchtide.domain.compliance.forecast import WINDOW, Lacking
from patchtide.domain.compliance.reaching import Reaching, advanced, got
from patchtide.server.fleet_view import View
from patchtide.server.history_needing import NeededBefore
from patchtide.server.history_progress import Progress
from patchtide.server.history_rows import BLOCK, count_at
from patchtide.server.history_since import NeededSince
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.ports.history import HistoryReading


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was written down of updates up to the last count."""

    since: date | None
    """The first day on which anybody counted; None: nobody has."""
    places: Mapping[UUID, int]
    progress: Progress
    needed: NeededSince
    """Of each machine; nothing where all of them are asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Where the days of some machines are counted."""

    places: Mapping[int, int]
    """Each place, and whether it is added or taken away."""
    base: int
    """How many had it before."""
    since: date | None
    """The first day on which all of that was counted; None: not before today."""
    machines: BitMap | None = None
    """Those alone of which it is counted who needed it, day by day; None: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """One update that some machine needed, as it stands now: on all of them, or of one class."""

    update: KnownUpdate
    risk: RiskClass
    reaching: Reaching
    required: int
    has: int
    got: int
    counted: Counted
    exposures: Sequence[Exposure] = ()
    """Where the machines stand that are counted; of none: anywhere."""

    @property
    def machines(self) -> int:
        """How many needed it since it came: those that got it, and those that lack it."""
        return self.got + self.required


def known(history: HistoryReading, *, today: date, of_all: bool = True) -> Known:
    """Read it; `of_all`: no machines are asked about by themselves."""
    newest = history.newest(before=today + timedelta(days=1))
    document = history.progress(newest.day) if newest else None
    progress = Progress.read(document) if document else Progress.of_length(0)
    recorded = history.recorded()
    return Known(
        since=recorded[0] if recorded else None,
        places=history.places(),
        progress=progress,
        needed=NeededSince(() if of_all else history.needed_since()),
    )


def reached(view: View, told: Known, *, today: date) -> tuple[list[Reached], Targets]:
    """Return all that is offered and was ever needed, and what this site aims at."""
    return list(_reached(view, told, today)), view.judged.targets


def _reached(view: View, told: Known, today: date) -> Iterator[Reached]:
    for key, update in view.updates.items():
        place = told.places.get(key)
        before = None if place is None else told.progress.at(place)
        tally = view.tally_of(update)
        if before is None and not tally.required:
            continue
        has = tally.installed - view.restarting_with(update)
        is_counted = place is not None and place < len(told.progress.has)
        had = told.progress.has[place] if place is not None and is_counted else has
        now = advanced(before, day=today, required=tally.required, has=has, had=had)
        if now is not None:
            count = got(has, base=now.base)
            risk = view.risk_of(update)
            places = {} if place is None else {place: 1}
            yield Reached(
                update=update, risk=risk, reaching=now, required=tally.required, has=has,
                got=count, counted=Counted(places=places, base=now.base, since=now.since),
            )  # fmt: skip


LackingOf = Mapping[tuple[UUID, RiskClass], Sequence[Lacking]]


def lacking(history: HistoryReading, some: Sequence[Reached], *, today: date) -> LackingOf:
    """Return of each how many lacked it on the last days, and today."""
    before = NeededBefore(history, today=today)
    found = {}
    for one in some:
        if one.counted.machines is not None:
            found[one.update.id, one.risk] = _lacking_within(
                one, one.counted.machines, before, today
            )
    rest = [one for one in some if one.counted.machines is None]
    return {**found, **_lacking_of_all(history, rest, today)}


def _lacking_within(
    one: Reached, machines: BitMap, before: NeededBefore, today: date
) -> list[Lacking]:
    since, found = one.counted.since or today, list[Lacking]()
    for place in one.counted.places:
        found += (
            Lacking(day=day, machines=needed, of=one.machines)
            for day, needed in before.of(place, machines)
            if day >= since
        )
    return [*found, Lacking(day=today, machines=one.required, of=one.machines)]


def _lacking_of_all(history: HistoryReading, some: Sequence[Reached], today: date) -> LackingOf:
    yesterday, first = today - timedelta(days=1), today - WINDOW
    wanted = {place // BLOCK for one in some for place in one.counted.places}
    days = {block: dict(history.block(block, first=first, last=yesterday)) for block in wanted}
    return {(one.update.id, one.risk): _lacking(one, days, today) for one in some}


def _lacking(one: Reached, days: Mapping[int, Mapping[date, bytes]], today: date) -> list[Lacking]:
    found, counted = [], one.counted
    blocks = [days[place // BLOCK] for place in counted.places]
    common = set(blocks[0]).intersection(*blocks) if blocks and counted.since else ()
    for day in sorted(common):
        if counted.since and day >= counted.since:
            required = has = 0
            for place, sign in counted.places.items():
                count = count_at(days[place // BLOCK][day], place)
                required += sign * count.required
                has += sign * (count.installed - count.restart)
            gained, lacked = got(has, base=counted.base), max(0, required)
            found.append(Lacking(day=day, machines=lacked, of=gained + lacked))
    return [*found, Lacking(day=today, machines=one.required, of=one.machines)]
