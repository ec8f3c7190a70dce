"""What a site has decided about synchronising: when, and which updates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from patchtide.domain.catalog.details import Classification, Severity
from patchtide.domain.catalog.selection import Choice, Selection
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.domain.schedules.recurrence import Every, Never, OnCycle, Schedule, Weekly

SCHEDULE, SELECTION = "catalog.schedule", "catalog.selection"
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
CycleName = Literal[
    "", "patch-tuesday", "advance-notice", "preview-tuesday", "android", "cisco", "oracle", "sap",
]  # fmt: skip
AskedDays = Annotated[tuple[Day, ...], Meta(max_length=7, description="On these days.")]
AskedCycle = Annotated[CycleName, Meta(description="By a vendor's calendar.")]
AskedDaysAfter = Annotated[
    int, Meta(ge=-28, le=28, description="Days after the cycle's own; before it, if negative.")
]
AskedTime = Annotated[
    str, Meta(max_length=5, description="Time of day, with days or a cycle; else 04:00.")
]
AskedZone = Annotated[str, Meta(max_length=64, description="Time zone of that; without it UTC.")]


class SaidSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule in the words in which people give it. One of the first three says how, or none:
    then only when somebody asks."""

    every_h: int = 0
    days: tuple[Day, ...] = ()
    cycle: CycleName = ""
    days_after: int = 0
    for_days: int = 1
    at: str = "04:00"
    zone: str = "UTC"


HOURLY = SaidSchedule(every_h=1)


class SaidChoice(msgspec.Struct, frozen=True, kw_only=True):
    products: tuple[str, ...] = ()
    classifications: tuple[Classification, ...] = ()
    severities: tuple[Severity, ...] = ()
    languages: tuple[str, ...] = ()


Choices = dict[str, SaidChoice]


def read_schedule(data: bytes | None) -> SaidSchedule:
    return msgspec.msgpack.decode(data, type=SaidSchedule) if data else HOURLY


def read_choices(data: bytes | None) -> Mapping[str, SaidChoice]:
    return msgspec.msgpack.decode(data, type=Choices) if data else {}


def choices_of(selection: Selection) -> Choices:
    """Return a selection in the words in which it is kept and handed on."""
    return {
        feed: SaidChoice(
            products=tuple(sorted(choice.products)),
            classifications=tuple(sorted(choice.classifications)),
            severities=tuple(sorted(choice.severities)),
            languages=tuple(sorted(choice.languages)),
        )
        for feed, choice in selection.items()
    }


def selection_of(choices: Mapping[str, SaidChoice]) -> Selection:
    return {
        feed: Choice(
            products=frozenset(said.products),
            classifications=frozenset(said.classifications),
            severities=frozenset(said.severities),
            languages=frozenset(said.languages),
        )
        for feed, said in choices.items()
    }


def schedule_of(said: SaidSchedule) -> Schedule:
    """Return what the words mean.

    Raises:
        InvalidDocument: with every mistake in them.
    """
    problems: list[Problem] = []
    at, zone = _time(said.at, problems), _zone(said.zone, problems)
    if sum((said.every_h > 0, bool(said.days), bool(said.cycle))) > 1:
        problems.append(Problem("every_h", "is one way; days and cycle are others"))
    if problems:
        raise InvalidDocument(problems)
    if said.every_h:
        return Every(timedelta(hours=said.every_h))
    if said.days:
        return Weekly(days=frozenset(map(DAYS.index, said.days)), at=at, zone=zone)
    if said.cycle:
        return OnCycle(
            cycle=said.cycle,
            days_after=said.days_after,
            for_days=said.for_days,
            at=at,
            zone=zone,
        )
    return Never()


def _time(text: str, problems: list[Problem]) -> time:
    try:
        return datetime.strptime(text, "%H:%M").replace(tzinfo=UTC).time()
    except ValueError:
        problems.append(Problem("at", "is a time of day, as 04:00"))
        return time()


def _zone(name: str, problems: list[Problem]) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        problems.append(Problem("zone", "is no time zone, as Europe/Berlin or UTC"))
        return ZoneInfo("UTC")
