"""When a report is sent by itself: once per time of its schedule, and once for all it missed."""

from __future__ import annotations

from datetime import datetime

from patchtide.domain.schedules.recurrence import Schedule, next_after
from patchtide.domain.schedules.synchronising import CLOCKS_DIFFER


def next_sending(schedule: Schedule, *, since: datetime, now: datetime) -> datetime | None:
    """Return when it is sent next; None: never by itself.

    `since` is when it was sent last, or its schedule was changed after that. What fell due
    meanwhile several times is sent once: the next time counts from when it was sent.
    """
    if since > now + CLOCKS_DIFFER:
        return now  # a clock that was set back must not put it off until it has caught up
    return next_after(schedule, since)


def is_due(schedule: Schedule, *, since: datetime, now: datetime) -> bool:
    at = next_sending(schedule, since=since, now=now)
    return at is not None and at <= now
