"""A stretch of days as a calendar shows it: what of windows, freezes and holidays falls on each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from patchtide.domain.schedules.days import DAY
from patchtide.domain.schedules.permission import Times, Wanted, allowed
from patchtide.domain.schedules.recurrence import instant_of
from patchtide.domain.schedules.spans import Span

_INSTANT = timedelta(microseconds=1)


class MarkKind(StrEnum):
    HOLIDAY = "holiday"
    FREEZE = "freeze"
    WINDOW = "window"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something on one day."""

    kind: MarkKind
    title: str
    when: str
    """On that day, by the clocks there; empty: all of it."""
    span: Span | None = None
    """The whole of it, on other days too; a holiday is a day and no span."""


def weeks_of(month: date) -> list[date]:
    """Return the days of its weeks, from a Monday to a Sunday."""
    first = month.replace(day=1)
    first -= first.weekday() * DAY
    after = (month.replace(day=1) + 32 * DAY).replace(day=1)
    count = -(-(after - first).days // 7) * 7
    return [first + n * DAY for n in range(count)]


def marked(times: Times, days: list[date]) -> Mapping[date, list[Mark]]:
    """Return what falls on each of these days, which follow each other.

    A window stands by itself, though others are open then too, and without what is frozen.
    """
    found: dict[date, list[Mark]] = {day: _holidays(times, day) for day in days}
    begins = instant_of(days[0], time(), times.zone)
    during = Span(begins, instant_of(days[-1] + DAY, time(), times.zone))
    for kind, title, span in _spans(times, during):
        for day, when in _on_days(span, times):
            if day in found:
                found[day].append(Mark(kind=kind, title=title, when=when, span=span))
    return found


def _spans(times: Times, during: Span) -> Iterator[tuple[MarkKind, str, Span]]:
    for freeze in times.freezes:
        span = freeze.span(times.zone)
        if span.begins < during.ends and span.ends > during.begins:
            yield MarkKind.FREEZE, freeze.reason, span
    openings = [
        (span, window.name)
        for window in times.windows
        for span in allowed(replace(times, windows=(window,)), Wanted(), during)
    ]
    for span, name in sorted(openings):
        yield MarkKind.WINDOW, name, span


def _holidays(times: Times, day: date) -> list[Mark]:
    names = {
        holiday.name or "Holiday"
        for hours in times.hours
        for holiday in hours.holidays
        if holiday.is_on(day)
    }
    return [Mark(kind=MarkKind.HOLIDAY, title=name, when="") for name in sorted(names)]


def _on_days(span: Span, times: Times) -> Iterator[tuple[date, str]]:
    begins, ends = span.begins.astimezone(times.zone), span.ends.astimezone(times.zone)
    last = (span.ends - _INSTANT).astimezone(times.zone).date()
    until = "24:00" if ends.date() > last else f"{ends:%H:%M}"
    day = begins.date()
    while day <= last:
        yield day, _when(day, begins, last, until, is_short=span.length < DAY)
        day += DAY


def _when(day: date, begins: datetime, last: date, until: str, *, is_short: bool) -> str:
    if day == begins.date() and (day == last or is_short):
        return f"{begins:%H:%M}\N{EN DASH}{until}"
    if day == begins.date():
        return f"from {begins:%H:%M}"
    return f"until {until}" if day == last else ""
