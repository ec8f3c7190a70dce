"""When a catalog is synchronised: by its schedule, again after a failure, never two at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from patchtide.domain.schedules.recurrence import Never, Schedule, next_after

AFTER_A_FAILURE = timedelta(hours=1)
AFTER_AN_INTERRUPTION = timedelta(minutes=10)
"""Soon, but not at once: it may be what ended the server."""
CLOCKS_DIFFER = timedelta(minutes=10)
"""By so much at most between two nodes."""


class Ended(StrEnum):
    """How a synchronisation stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Why(StrEnum):
    """What makes one fall due."""

    FIRST = "first"
    SCHEDULE = "schedule"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One synchronisation that began; `ended_at` is None while it runs."""

    began_at: datetime
    ended_at: datetime | None
    state: Ended
    full: bool
    is_partial: bool = False
    """Some feed could not be read, so what it tells is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    at: datetime
    full: bool
    why: Why


def due(schedule: Schedule, history: Sequence[Past], now: datetime) -> Due | None:
    """Return what is to begin now; None: nothing is."""
    found = upcoming(schedule, history, now)
    return found if found is not None and found.at <= now else None


def upcoming(schedule: Schedule, history: Sequence[Past], now: datetime) -> Due | None:
    """Return what comes next, and when; None: nothing does by itself, or one is running.

    `history` is in order and has at least the last one, and the last full one that was done. Only
    that one answers the schedule: one on demand brings what is new, and no more.
    """
    last = history[-1] if history else None
    if last is not None and last.state is Ended.RUNNING:
        return None
    scheduled = _scheduled(schedule, history, now)
    if last is None or (last.state is Ended.DONE and not last.is_partial):
        return scheduled
    again = _again(last, now)
    if last.is_partial and scheduled is not None and scheduled.at <= again:
        return scheduled  # of all feeds, not of those alone that failed
    full = last.full or (scheduled is not None and scheduled.at <= again)
    return Due(at=again, full=full, why=Why.RETRY)


def _scheduled(schedule: Schedule, history: Sequence[Past], now: datetime) -> Due | None:
    if isinstance(schedule, Never):
        return None
    answered = [past for past in history if past.full and past.state is Ended.DONE]
    if not answered:
        return Due(at=now, full=True, why=Why.FIRST)
    at = _not_before(answered[-1].began_at, next_after(schedule, answered[-1].began_at), now)
    return Due(at=at, full=True, why=Why.SCHEDULE)


def _again(failed: Past, now: datetime) -> datetime:
    if failed.state is Ended.INTERRUPTED:
        return _not_before(failed.began_at, failed.began_at + AFTER_AN_INTERRUPTION, now)
    ended = failed.ended_at or failed.began_at
    return _not_before(ended, ended + AFTER_A_FAILURE, now)


def _not_before(past: datetime, at: datetime | None, now: datetime) -> datetime:
    """A clock that was set back must not put it off until it has caught up."""
    return now if past > now + CLOCKS_DIFFER or at is None else at
