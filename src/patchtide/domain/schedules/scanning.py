"""How often machines scan, and what follows from it: when one says so, and when it is too old.

A machine on which nothing changes tells nothing but that it is there; once in a while it reports
nevertheless, so that the server can tell it from one that scans no more. The rarer it scans, the
longer both take.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

DAY_S = 86_400
SHORTEST_SCAN_S = 3600
LONGEST_SCAN_S = 28 * DAY_S
SCAN_EVERY_S = 7 * DAY_S
SHORTEST_POLL_S = 60
LONGEST_POLL_S = DAY_S
"""What a site may tell its machines, at most: whoever owns it cannot silence them for longer."""
POLL_EVERY_S = 3600
MISSED = 3
"""A machine is silent once so many check-ins are missing, where a site says nothing else."""
STALE_AT_LEAST_S = 3 * DAY_S
"""However often machines scan: whoever is switched off over a weekend is not in doubt for it."""


def says_so_after_s(scan_every_s: int) -> int:
    """Return how long a machine may find nothing new before it reports that."""
    return max(DAY_S, scan_every_s)


def stale_after(scan_every_s: int) -> timedelta:
    """Return from which age on a report says nothing of a machine any more.

    By then two of its own are missing at least: 14 days for a scan a week, 3 for one in 4 hours.
    """
    return timedelta(seconds=max(STALE_AT_LEAST_S, 2 * scan_every_s))


def bounded(seconds: int, *, shortest: int, longest: int) -> int:
    """Return an interval that was told within what may be told."""
    return min(max(seconds, shortest), longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRule:
    """How often a site's machines scan, and until lately did: reports are judged by it."""

    every_s: int = SCAN_EVERY_S
    before_s: int = SCAN_EVERY_S
    since: datetime | None = None

    def stale_after(self, now: datetime) -> timedelta:
        """Return from which age on a report is too old.

        Machines that are to scan oftener from today on have not done so yet: what they reported
        by the rule of before counts by that for as long as the new one leaves them.
        """
        return stale_after(self.before(now))

    def before(self, now: datetime) -> int:
        """Return the longest interval that some machines may still keep to."""
        return max(self.every_s, self.before_s) if self.settles_at(now) else self.every_s

    def settles_at(self, now: datetime) -> datetime | None:
        """Return when the rule of before counts no more; None: it does not any more."""
        if self.since is None or not self.since <= now:
            return None
        ends = self.since + stale_after(self.every_s)
        return ends if now < ends else None

    def taken_up(self, before: ScanRule, now: datetime) -> ScanRule:
        """Return it for a machine that went by another one until now.

        If that had it scan as often, it has taken this one up since then.
        """
        if before.every_s == self.every_s and _since(self) <= _since(before):
            return before
        return replace(self, before_s=max(self.before(now), before.before(now)), since=now)


def _since(rule: ScanRule) -> float:
    return rule.since.timestamp() if rule.since else 0.0


@dataclass(frozen=True, slots=True)
class Habit:
    """How one machine is to speak and look, where that is not what the whole site goes by."""

    silent_after: timedelta
    scans: ScanRule


def silent_after(poll_s: int, *, missed: int = MISSED) -> timedelta:
    """Return after how long without a word a machine is silent."""
    return missed * timedelta(seconds=poll_s)
