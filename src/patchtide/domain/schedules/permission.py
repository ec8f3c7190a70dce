"""May this be done to the machine now, until when, and if not, when next, and why not?

Answered by the server, in previews and calendars, and before it orders anything. A machine keeps to
its freezes by itself, besides (`domain.sequencer.orders`). What binds, in this order:

| what | binds | but for |
| --- | --- | --- |
| freezes | everything | emergencies |
| that it is in build | nothing that follows binds | |
| windows, if it has any | everything; some are for updates only | what ignores them |
| that nobody knows whether it has any | everything | what ignores windows |
| business hours, without a window | what keeps out of them: rollouts, forced restarts | all else |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

from patchtide.domain.schedules.days import DAY, SPARSEST
from patchtide.domain.schedules.spans import Span, united, without
from patchtide.domain.schedules.windows import (
    BusinessHours,
    Freeze,
    Window,
    Work,
    openings,
)

_LOOKS_AHEAD = (8 * DAY, 40 * DAY, SPARSEST * DAY)
"""Most windows open within a week, nearly all within a month, and all that recur in the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """All that says when one machine may be changed."""

    zone: tzinfo
    """The machine's own."""
    windows: tuple[Window, ...] = ()
    is_unsure: bool = False
    """It is known of no window, but it may be in a collection that has some, or is in one whose
    windows are not for it."""
    freezes: tuple[Freeze, ...] = ()
    hours: tuple[BusinessHours, ...] = ()
    build: Span | None = None
    """While it is in build: neither windows nor business hours bind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants to do to it."""

    work: Work = Work.UPDATES
    needs: timedelta = timedelta(0)
    """How long it may take, with the restart that belongs to it."""
    is_emergency: bool = False
    ignores_windows: bool = False
    keeps_out_of_hours: bool = False


class Why(StrEnum):
    """Why work may be done or not."""

    WINDOW_OPEN = "window-open"
    WINDOWS_IGNORED = "windows-ignored"
    IN_BUILD = "in-build"
    """It is new, and to be handed over compliant."""
    NO_WINDOWS = "no-windows"
    FROZEN = "frozen"
    WINDOW_CLOSED = "window-closed"
    TOO_SHORT = "too-short"
    NEVER_LONG_ENOUGH = "never-long-enough"
    NEVER_OPENS = "never-opens"
    NOT_FOR_THIS = "not-for-this"
    """All its windows are for updates only, and this is none."""
    BUSINESS_HOURS = "business-hours"
    UNSURE = "unsure"
    """Nobody knows by which windows it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether it may be done now."""

    may: bool
    why: Why
    until: datetime | None = None
    """If it may: to the end of that. None: no end is in sight."""
    next: datetime | None = None
    """If not: when it may next. None: never, as things are."""
    freeze: Freeze | None = None
    """What forbids it, or what cuts the opening short."""


def may_change(times: Times, wanted: Wanted, now: datetime) -> Verdict:
    """Answer for one machine and one work, at that moment."""
    current = _open_now(times, wanted, now)
    if current is not None and current.ends - now >= wanted.needs:
        until = current.ends if current.ends < now + _LOOKS_AHEAD[-1] else None
        return Verdict(may=True, why=_why(times, wanted, now), until=until)
    if current is not None:
        why, freeze = Why.TOO_SHORT, _cutting(times, current)
    else:
        why, freeze = _why_not(times, wanted, now)
    found = upcoming(times, wanted, now, most=1)
    if found:
        return Verdict(may=False, why=why, next=max(found[0].begins, now), freeze=freeze)
    return Verdict(may=False, why=_why_never(times, wanted, now, why), freeze=freeze)


def allowed(times: Times, wanted: Wanted, during: Span) -> list[Span]:
    """Return when such work may be done, of what reaches into that span.

    Openings come whole, with where they begin and end outside of it. Where nothing binds, it is
    the span itself. How long the work takes is not looked at.
    """
    found = _opened(times, wanted, during)
    if times.build is not None and times.build.begins < during.ends:
        found = [one for one in united([*found, times.build]) if one.ends > during.begins]
    if wanted.is_emergency:
        return found
    return without(found, united(freeze.span(times.zone) for freeze in times.freezes))


def _opened(times: Times, wanted: Wanted, during: Span) -> list[Span]:
    """Return when windows, or business hours, let such work be done."""
    if times.is_unsure and not wanted.ignores_windows:
        return []
    if times.windows and not wanted.ignores_windows:
        serving = (one for one in times.windows if one.covers.serves(wanted.work))
        return openings(serving, during, times.zone)
    return without([during], _busy(times, wanted, during))


def upcoming(times: Times, wanted: Wanted, now: datetime, *, most: int) -> list[Span]:
    """Return the next times in which there is room for such work, the one that goes on first."""
    found: list[Span] = []
    for during in _ahead(times, now):
        found = [
            span
            for span in allowed(times, wanted, during)
            if span.ends > now and span.ends - max(span.begins, now) >= wanted.needs
        ]
        if len(found) > most:  # the last one may be longer than what was looked at
            break
    return found[:most]


def _ahead(times: Times, now: datetime) -> Iterator[Span]:
    """Yield ever longer stretches from now on.

    All that recurs does so in the third. The fourth reaches what comes once, or begins to recur,
    after that.
    """
    for length in _LOOKS_AHEAD:
        yield Span(now, now + length)
    seen = now + _LOOKS_AHEAD[-1]
    days = (window.days.first_from(seen.date()) for window in times.windows)
    later = [day for day in days if day is not None]
    if later:
        yield Span(now, seen + (max(later) - seen.date()) + _LOOKS_AHEAD[-1])


def _open_now(times: Times, wanted: Wanted, now: datetime) -> Span | None:
    """Return the stretch that goes on now, as far as one can see."""
    found = None
    for length in _LOOKS_AHEAD:
        spans = allowed(times, wanted, Span(now, now + length))
        found = next((span for span in spans if span.has(now)), None)
        if found is None or found.ends < now + length:
            return found
    return found


def _busy(times: Times, wanted: Wanted, during: Span) -> list[Span]:
    """Return the business hours that keep such work away from a machine without windows."""
    if times.windows or not wanted.keeps_out_of_hours:
        return []
    return united(span for hours in times.hours for span in hours.spans(during, times.zone))


def _why(times: Times, wanted: Wanted, now: datetime) -> Why:
    if times.build is not None and times.build.has(now):
        return Why.IN_BUILD
    if not times.windows and not times.is_unsure:
        return Why.NO_WINDOWS
    return Why.WINDOWS_IGNORED if wanted.ignores_windows else Why.WINDOW_OPEN


def _cutting(times: Times, current: Span) -> Freeze | None:
    """Return the freeze that ends this stretch."""
    return next((one for one in times.freezes if one.span(times.zone).begins == current.ends), None)


def _why_not(times: Times, wanted: Wanted, now: datetime) -> tuple[Why, Freeze | None]:
    frozen = [freeze for freeze in times.freezes if freeze.span(times.zone).has(now)]
    if frozen and not wanted.is_emergency:
        return Why.FROZEN, max(frozen, key=lambda one: one.span(times.zone).ends)
    if times.is_unsure and not wanted.ignores_windows:
        return Why.UNSURE, None
    if not times.windows:
        return Why.BUSINESS_HOURS, None
    serves = any(window.covers.serves(wanted.work) for window in times.windows)
    return (Why.WINDOW_CLOSED if serves else Why.NOT_FOR_THIS), None


def _why_never(times: Times, wanted: Wanted, now: datetime, why: Why) -> Why:
    """Say what is to be changed where there is no next time."""
    if why in (Why.FROZEN, Why.NOT_FOR_THIS, Why.BUSINESS_HOURS, Why.UNSURE):
        return why
    opens = upcoming(times, replace(wanted, needs=timedelta(0)), now, most=1)
    return Why.NEVER_LONG_ENOUGH if opens else Why.NEVER_OPENS
