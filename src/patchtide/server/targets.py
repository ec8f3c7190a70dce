"""How the site stands against its targets, and how long updates took to reach their machines.

An update's time runs from the day on which one of the machines that are asked about was first
counted as needing it. It is held against the targets of its risk classes: each on the machines that
it is of that class on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from statistics import median
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta
from pyroaring import BitMap

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.risk import CLASSES, RiskClass
from patchtide.domain.catalog.targets import Target, Targets
from patchtide.domain.compliance.forecast import Forecast, Lacking, forecast
from patchtide.domain.compliance.history import day_of
from patchtide.domain.compliance.reaching import SHARES
from patchtide.server.collection_checks import may_ask
from patchtide.server.collection_view import known as collection_named
from patchtide.server.context import Call
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.history import percent
from patchtide.server.listing import Limit
from patchtide.server.reaching import Known, Reached, known, lacking, reached
from patchtide.server.reaching_by_class import by_class
from patchtide.server.reaching_within import reached_within
from patchtide.server.table import Input, Output

RiskName = Literal["", "emergency", "high", "medium", "low"]
StateName = Literal["", "late", "open", "met"]
Risk = Annotated[RiskName, Meta(description="Only updates of this risk class.")]


class ShowTargets(Input, kw_only=True, frozen=True):
    risk: Risk = ""
    collection: Annotated[
        UUID | None, Meta(description="Only on the machines in this collection, by its id.")
    ] = None
    state: Annotated[
        StateName,
        Meta(description="Only updates that are late, that still have time, or that are done."),
    ] = ""
    limit: Limit = 100


class ListTimes(Input, kw_only=True, frozen=True):
    risk: Risk = ""
    limit: Limit = 100


class ClassProgress(Output, kw_only=True, frozen=True):
    risk: str
    percent: int
    """Of the machines that need an update, so many are to have it."""
    days: int
    """In so many days."""
    updates: int
    """How many updates of the class some machine needed; they are the next three."""
    met: int
    open: int
    """Not yet, and there is time."""
    late: int


class UpdateProgress(Output, kw_only=True, frozen=True):
    id: UUID
    title: str
    risk: str
    state: str
    """`late`, `open` or `met`."""
    since: date
    """The first day on which one of these machines was counted as needing it."""
    due: date
    percent: float
    """How many of those that needed it have it."""
    target: int
    lacking: int
    machines: int
    """How many needed it since then."""
    outlook: str
    """`reached`, `expected`, `not-at-this-rate` or `too-little-known`."""
    earliest: date | None
    """If as many machines a day get it as in the last seven days."""
    latest: date | None
    """If the same share of those that are left gets it each day; null: perhaps never."""
    a_day: float
    """How many machines a day got it, in the last seven days."""


class TargetProgress(Output, kw_only=True, frozen=True):
    collection: str
    """On whose machines; empty: on all."""
    known_since: date | None
    """The first day on which anybody counted; what was needed before counts from there."""
    classes: tuple[ClassProgress, ...]
    items: tuple[UpdateProgress, ...]
    """The late ones first, and those that are due soonest."""
    total: int


class ClassTimes(Output, kw_only=True, frozen=True):
    """Days in the middle of all updates of the class that came so far; null: none did."""

    risk: str
    updates: int
    days50: float | None
    days90: float | None
    days95: float | None
    days99: float | None


class UpdateTimes(Output, kw_only=True, frozen=True):
    id: UUID
    title: str
    risk: str
    since: date
    machines: int
    lacking: int
    days50: int | None
    """After how many days so many percent had it; null: not yet."""
    days90: int | None
    days95: int | None
    days99: int | None


class TimeList(Output, kw_only=True, frozen=True):
    known_since: date | None
    """The first day on which anybody counted: nothing is known of what was before."""
    classes: tuple[ClassTimes, ...]
    items: tuple[UpdateTimes, ...]
    """Those needed last come first."""
    total: int


async def show(call: Call, principal: Principal, asked: ShowTargets) -> TargetProgress:
    """Raises NotFound: there is no such collection."""
    may_ask(principal, asked.collection)
    today = day_of(call.now)
    history = call.context.reading.fleet_history
    fleet = call.context.fleet
    of_all = asked.collection is None and not fleet.scopes
    told = await call.read(lambda: known(history, today=today, of_all=of_all))

    def question(view: View) -> tuple[Sequence[Reached], Targets, str]:
        within = None if asked.collection is None else collection_named(view, asked.collection)
        machines = view.active
        if within is not None:
            machines = fleet.collections.members_of(view, within.id)
        is_part = is_part_of(fleet, view, machines)
        some, aims = reached_by_class(
            fleet, view, told, today=today, machines=machines if is_part else None
        )
        return some, aims, within.name if within else ""

    some, targets, within = await call.read_fleet(lambda: fleet.ask(question))
    fitting = [
        one
        for one in some
        if asked.risk in ("", one.risk) and asked.state in ("", state_of(one, targets, today))
    ]
    page = sorted(fitting, key=lambda one: urgency(one, targets, today))[: asked.limit]
    counts = await call.read(lambda: lacking(history, page, today=today))
    return TargetProgress(
        collection=within,
        known_since=told.since,
        classes=tuple(_classes(some, targets, today)),
        items=tuple(progress(one, targets, counts[one.update.id, one.risk], today) for one in page),
        total=len(fitting),
    )


async def times(call: Call, principal: Principal, asked: ListTimes) -> TimeList:
    today = day_of(call.now)
    history = call.context.reading.fleet_history
    told = await call.read(lambda: known(history, today=today))
    fleet = call.context.fleet
    some, _ = await call.read_fleet(
        lambda: fleet.ask(lambda view: reached(view, told, today=today))
    )
    fitting = [one for one in some if asked.risk in ("", one.risk)]
    newest = sorted(fitting, key=lambda one: (-one.reaching.since.toordinal(), one.update.order))
    return TimeList(
        known_since=told.since,
        classes=tuple(_times_of(risk, some) for risk in reversed(CLASSES)),
        items=tuple(map(_times, newest[: asked.limit])),
        total=len(fitting),
    )


def is_part_of(fleet: Fleet, view: View, machines: BitMap) -> bool:
    """Say whether these are not all machines of which the history was counted."""
    return bool(fleet.scopes) or not view.active <= machines


def reached_by_class(
    fleet: Fleet, view: View, told: Known, *, today: date, machines: BitMap | None = None
) -> tuple[list[Reached], Targets]:
    """Return each update once for each risk class that it has on machines, within a question.

    `machines`: on those alone, whoever they are; none: on all, as they were counted.
    """
    if machines is not None:
        found = reached_within(fleet, view, told, machines, today=today)
        return list(found), view.judged.targets
    some, aims = reached(view, told, today=today)
    return by_class(fleet, view, told, some), aims


def due(one: Reached, target: Target) -> date:
    return one.reaching.since + timedelta(days=target.within.days)


def state_of(one: Reached, targets: Targets, today: date) -> str:
    target = targets[one.risk]
    if target.is_met(done=one.got, machines=one.machines):
        return "met"
    return "late" if today > due(one, target) else "open"


def urgency(one: Reached, targets: Targets, today: date) -> tuple[object, ...]:
    state = ("late", "open", "met").index(state_of(one, targets, today))
    return state, due(one, targets[one.risk]), -one.required, one.update.order


def _classes(some: Sequence[Reached], targets: Targets, today: date) -> Iterable[ClassProgress]:
    states = [(one.risk, state_of(one, targets, today)) for one in some]
    for risk in reversed(CLASSES):
        target = targets[risk]
        own = [state for its, state in states if its is risk]
        yield ClassProgress(
            risk=risk.value,
            percent=target.percent,
            days=target.within.days,
            updates=len(own),
            met=own.count("met"),
            open=own.count("open"),
            late=own.count("late"),
        )


def progress(
    one: Reached, targets: Targets, counts: Sequence[Lacking], today: date
) -> UpdateProgress:
    target = targets[one.risk]
    found: Forecast = forecast(counts, percent=target.percent, today=today)
    return UpdateProgress(
        id=one.update.id,
        title=one.update.title,
        risk=one.risk.value,
        state=state_of(one, targets, today),
        since=one.reaching.since,
        due=due(one, target),
        percent=percent(one.got, one.machines),
        target=target.percent,
        lacking=one.required,
        machines=one.machines,
        outlook=found.outlook.value,
        earliest=found.earliest,
        latest=found.latest,
        a_day=round(found.a_day, 1),
    )


def _times(one: Reached) -> UpdateTimes:
    return UpdateTimes(
        id=one.update.id,
        title=one.update.title,
        risk=one.risk.value,
        since=one.reaching.since,
        machines=one.machines,
        lacking=one.required,
        **{f"days{share}": one.reaching.days_to(share) for share in SHARES},
    )


def _times_of(risk: RiskClass, some: Sequence[Reached]) -> ClassTimes:
    own = [one.reaching for one in some if one.risk is risk]
    taken: Mapping[str, list[int]] = {
        f"days{share}": [n for x in own if (n := x.days_to(share)) is not None] for share in SHARES
    }
    middle = {name: float(median(days)) if days else None for name, days in taken.items()}
    return ClassTimes(risk=risk.value, updates=len(own), **middle)
