"""When a site synchronises, and what it takes of its feeds: asked and changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.custom import KIND
from patchtide.domain.catalog.details import Classification, Severity
from patchtide.domain.catalog.selection import ANY_FEED
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.offered import OFFERED, read_offered, unheard_of
from patchtide.server.ports.decisions import Transaction
from patchtide.server.synchronisation_plan import (
    SCHEDULE,
    SELECTION,
    AskedCycle,
    AskedDays,
    AskedDaysAfter,
    AskedTime,
    AskedZone,
    SaidChoice,
    SaidSchedule,
    read_choices,
    read_schedule,
    schedule_of,
)
from patchtide.server.table import Input, Nothing, Output

ChosenClassification = Literal[
    "critical", "security", "definition", "service-pack", "rollup", "feature-pack", "tool",
    "driver", "general-update", "application",
]  # fmt: skip
ChosenSeverity = Literal["critical", "important", "moderate", "low", "none"]
FeedName = Annotated[str, Meta(max_length=64)]
Name = Annotated[str, Meta(max_length=256)]
Names = Annotated[tuple[Name, ...], Meta(max_length=500)]


class Reschedule(Input, kw_only=True, frozen=True):
    every_h: Annotated[
        int, Meta(ge=0, le=24 * 31, description="So many hours after it began the last time.")
    ] = 0
    days: AskedDays = ()
    cycle: AskedCycle = ""
    days_after: AskedDaysAfter = 0
    for_days: Annotated[
        int, Meta(ge=1, le=28, description="On so many days in a row from there.")
    ] = 1
    at: AskedTime = ""
    zone: AskedZone = ""


class ShownSchedule(Output, kw_only=True, frozen=True):
    every_h: int
    days: tuple[str, ...]
    cycle: str
    days_after: int
    for_days: int
    at: str
    zone: str
    next_at: datetime | None
    """When the next one begins by itself; null while one runs, or if none does."""
    next_full: bool
    next_why: str
    """`schedule`, `retry` after a failure, or `first`."""


class Select(Input, kw_only=True, frozen=True):
    feed: Annotated[
        FeedName, Meta(description="Whose updates; without it those of every other feed.")
    ] = ANY_FEED
    products: Annotated[Names, Meta(description="Only for these; without any, for all.")] = ()
    classifications: Annotated[
        tuple[ChosenClassification, ...],
        Meta(max_length=10, description="Only of these kinds; without any, of all."),
    ] = ()
    severities: Annotated[
        tuple[ChosenSeverity, ...],
        Meta(max_length=5, description="Only as severe as this, or not rated; without any, all."),
    ] = ()
    languages: Annotated[
        Names, Meta(description="Only in these, or in none; without any, in all.")
    ] = ()
    everything: Annotated[
        bool, Meta(description="All of this feed, whatever is chosen of the others.")
    ] = False
    ahead: Annotated[
        bool, Meta(description="Also by a product or a feed that none has told of yet.")
    ] = False


class ShownChoice(Output, kw_only=True, frozen=True):
    feed: str
    """Empty: every feed that has no choice of its own."""
    products: tuple[str, ...]
    classifications: tuple[str, ...]
    severities: tuple[str, ...]
    languages: tuple[str, ...]


class SelectionList(Output, kw_only=True, frozen=True):
    items: tuple[ShownChoice, ...]
    """Without any, everything is taken."""
    feeds: tuple[str, ...]
    products: tuple[str, ...]
    """What feeds and products the catalog knows of."""


async def show_schedule(call: Call, principal: Principal, asked: Nothing) -> ShownSchedule:
    return await call.read(lambda: _shown_schedule(call))


async def reschedule(call: Call, principal: Principal, asked: Reschedule) -> ShownSchedule:
    """Raises InvalidDocument: the words do not make a schedule."""
    said = _said(asked)
    schedule_of(said)

    def work(tx: Transaction) -> None:
        tx.lock_setting(SCHEDULE)
        tx.put_setting(SCHEDULE, msgspec.msgpack.encode(said))
        tx.note("schedule", every_h=said.every_h, days=" ".join(said.days), cycle=said.cycle)

    await call.decide(principal, work)
    return await call.read(lambda: _shown_schedule(call))


def _said(asked: Reschedule) -> SaidSchedule:
    """Raises InvalidDocument: it is said when on a day, and not on which days."""
    if not (asked.every_h or asked.days or asked.cycle):
        given = {"at": asked.at, "zone": asked.zone, "days_after": asked.days_after}
        if wrong := [name for name, value in given.items() if value]:
            why = "goes with days (--days monday) or a cycle (--cycle patch-tuesday)"
            raise InvalidDocument([Problem(name, why) for name in wrong])
    words = msgspec.structs.asdict(asked)
    return SaidSchedule(**{name: value for name, value in words.items() if value != ""})


def _shown_schedule(call: Call) -> ShownSchedule:
    desk = call.context.synchronisations
    said = read_schedule(call.context.lookups.setting(SCHEDULE))
    following = desk.next() if desk.synchronisation is not None else None
    return ShownSchedule(
        **{name: getattr(said, name) for name in SaidSchedule.__struct_fields__},
        next_at=following.at if following else None,
        next_full=following.full if following else False,
        next_why=following.why.value if following else "",
    )


async def show_selection(call: Call, principal: Principal, asked: Nothing) -> SelectionList:
    return await call.read(lambda: _selection(call))


async def select(call: Call, principal: Principal, asked: Select) -> SelectionList:
    """Raises InvalidDocument: no feed tells of what is chosen, or it is all and some of it."""
    said = SaidChoice(
        products=asked.products,
        classifications=tuple(map(Classification, asked.classifications)),
        severities=tuple(map(Severity, asked.severities)),
        languages=asked.languages,
    )

    if problems := await call.read(lambda: list(_problems(call, asked, said))):
        raise InvalidDocument(problems)

    def work(tx: Transaction) -> None:
        choices = dict(read_choices(tx.lock_setting(SELECTION)))
        choices.pop(asked.feed, None)
        if asked.everything or said != SaidChoice():
            choices[asked.feed] = said
        tx.put_setting(SELECTION, msgspec.msgpack.encode(choices))
        tx.note(asked.feed or "every other feed", **_in_words(said))

    await call.decide(principal, work)
    return await call.read(lambda: _selection(call))


def _problems(call: Call, asked: Select, said: SaidChoice) -> Iterator[Problem]:
    if asked.everything and (said != SaidChoice() or asked.feed == ANY_FEED):
        yield Problem("everything", "goes with a feed, and with nothing else")
    feeds, products = _known(call)
    # Nothing was told yet at a new site, and a choice is taken back by any name.
    if feeds and not asked.ahead and (asked.everything or said != SaidChoice()):
        yield from unheard_of("products", said.products, products)
        yield from unheard_of("feed", {asked.feed} - {ANY_FEED}, feeds)


def _in_words(choice: SaidChoice) -> dict[str, str]:
    told = msgspec.structs.asdict(choice)
    return {name: ", ".join(values)[:500] for name, values in told.items() if values}


def _selection(call: Call) -> SelectionList:
    choices = read_choices(call.context.lookups.setting(SELECTION))
    feeds, products = _known(call)
    return SelectionList(
        items=tuple(
            ShownChoice(feed=feed, **msgspec.structs.asdict(choice))
            for feed, choice in sorted(choices.items())
        ),
        feeds=feeds,
        products=products,
    )


def _known(call: Call) -> tuple[tuple[str, ...], tuple[str, ...]]:
    offered = read_offered(call.context.lookups.setting(OFFERED))
    feeds, products = call.context.fleet.ask(_listed)
    told = {product for some in offered.values() for product in some}
    return tuple(sorted({*feeds, *offered})), tuple(sorted(products | told))


def _listed(view: View) -> tuple[set[str], set[str]]:
    told = [update.details for update in view.updates.values() if update.details]
    feeds = {details.feed for details in told if details.feed != KIND}
    return feeds, {product for x in told if x.feed != KIND for product in x.products}
