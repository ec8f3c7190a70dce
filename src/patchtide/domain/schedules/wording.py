"""Windows and verdicts in words, for people: of a page, of a preview, of a machine's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import assert_never

from patchtide.domain.schedules.days import (
    LAST,
    AfterCycle,
    Days,
    EveryDays,
    EveryWeeks,
    MonthlyOnDay,
    MonthlyOnWeekday,
    Once,
)
from patchtide.domain.schedules.permission import Verdict, Why
from patchtide.domain.schedules.windows import (
    WORKING_WEEK,
    BusinessHours,
    Clock,
    Covers,
    Freeze,
    Window,
)

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NTH: Mapping[int, str] = MappingProxyType(
    {1: "first", 2: "second", 3: "third", 4: "fourth", LAST: "last"}
)
_CYCLES: Mapping[str, str] = MappingProxyType(
    {
        "patch-tuesday": "Patch Tuesday",
        "advance-notice": "the Thursday before Patch Tuesday",
        "preview-tuesday": "the fourth Tuesday of the month",
        "android": "Android's day",
        "cisco": "Cisco's day",
        "oracle": "Oracle's day",
        "sap": "SAP's day",
    }
)
_WHY: Mapping[Why, str] = MappingProxyType(
    {
        Why.WINDOW_OPEN: "a maintenance window is open",
        Why.WINDOWS_IGNORED: "this ignores maintenance windows",
        Why.IN_BUILD: "it is in build, and no maintenance window binds it yet",
        Why.NO_WINDOWS: "no maintenance window binds this machine",
        Why.FROZEN: "it is frozen",
        Why.WINDOW_CLOSED: "no maintenance window is open",
        Why.TOO_SHORT: "what is left of the time is too short",
        Why.NEVER_LONG_ENOUGH: "no time that comes is long enough",
        Why.NEVER_OPENS: "none of its maintenance windows opens again",
        Why.NOT_FOR_THIS: "its maintenance windows are for updates only",
        Why.BUSINESS_HOURS: "people work at this machine now",
        Why.UNSURE: "nobody knows by which maintenance windows it goes: of a collection that has"
        " some is not known who is in it, or it is not of tier 0 as this machine is",
    }
)


def days_in_words(days: Days) -> str:
    match days:
        case Once(day):
            return f"once, on {_day(day)}"
        case EveryDays(every=every):
            return _every(every, "day", "days")
        case EveryWeeks(every=every, weekdays=weekdays):
            named = _listed([WEEKDAYS[n] for n in sorted(weekdays)])
            return f"{named} of {_every(every, 'week', 'weeks')}"
        case MonthlyOnDay(every=every, day=day):
            return f"day {day} of {_every(every, 'month', 'months')}"
        case MonthlyOnWeekday(every=every, nth=nth, weekday=weekday):
            return f"the {_NTH[nth]} {WEEKDAYS[weekday]} of {_every(every, 'month', 'months')}"
        case AfterCycle(cycle=cycle, days_after=after):
            return _beside(_CYCLES[cycle], after)
        case _:
            assert_never(days)


def window_in_words(window: Window) -> str:
    """Return when it is open, as one line."""
    clock = "UTC" if window.clock is Clock.UTC else "machine's time"
    said = (
        f"{days_in_words(window.days)} at {window.at:%H:%M} {clock}, for {_length(window.length)}"
    )
    if window.until is not None:
        said += f", until {_day(window.until)}"
    return said + (", updates only" if window.covers is Covers.UPDATES else "")


def verdict_in_words(verdict: Verdict, zone: tzinfo) -> str:
    """Return the answer and its reason as one sentence, by the clock of that zone."""
    why = _why(verdict, zone)
    if verdict.may:
        return (
            f"Yes, until {_moment(verdict.until, zone)}: {why}" if verdict.until else f"Yes: {why}"
        )
    if verdict.why is Why.UNSURE:
        return f"Not now: {why}"
    if verdict.next is None:
        return f"No, nor later: {why}"
    return f"Not before {_moment(verdict.next, zone)}: {why}"


def _why(verdict: Verdict, zone: tzinfo) -> str:
    said, freeze = _WHY[verdict.why], verdict.freeze
    if freeze is None:
        return said
    span = freeze.span(zone)
    reason = f" ({freeze.reason})" if freeze.reason else ""
    if verdict.why is Why.FROZEN:
        return f"{said} until {_moment(span.ends, zone)}{reason}"
    return f"{said}, for it is frozen from {_moment(span.begins, zone)} on{reason}"


def _every(every: int, one: str, many: str) -> str:
    return f"every {one}" if every == 1 else f"every {every} {many}"


def _beside(cycle: str, after: int) -> str:
    if after == 0:
        return cycle
    days = "1 day" if abs(after) == 1 else f"{abs(after)} days"
    return f"{days} {'after' if after > 0 else 'before'} {cycle}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _length(length: timedelta) -> str:
    hours, minutes = divmod(length // timedelta(minutes=1), 60)
    parts = [f"{hours} h"] if hours else []
    return " ".join([*parts, f"{minutes} min"] if minutes else parts)


def _day(day: date) -> str:
    return f"{WEEKDAYS[day.weekday()][:3]} {day}"


def _moment(moment: datetime, zone: tzinfo | None) -> str:
    """Wall time, which has no zone, is told as it is."""
    local = moment if zone is None else moment.astimezone(zone)
    return f"{_day(local.date())} {local:%H:%M}"


def freeze_in_words(freeze: Freeze) -> str:
    """Return from when to when it holds, and why, as one line."""
    clock = "UTC" if freeze.clock is Clock.UTC else "machine's time"
    begins, ends = _moment(freeze.begins, None), _moment(freeze.ends, None)
    return f"{begins} to {ends} {clock}: {freeze.reason}"


def hours_in_words(hours: BusinessHours) -> str:
    """Return when people work, as one line."""
    if not hours.weekdays:
        return "never"
    named = _listed([WEEKDAYS[n] for n in sorted(hours.weekdays)])
    if hours.weekdays == WORKING_WEEK:
        named = "Monday to Friday"
    said = f"{named}, {hours.begins:%H:%M} to {hours.ends:%H:%M}"
    count = len(hours.holidays)
    return said if not count else f"{said}, but for {count} holiday{'s' if count > 1 else ''}"
