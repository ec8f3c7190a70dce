"""How much may be done to the fleet within an hour, by one person and at the whole site (S16).

The largest disasters in this field were authorised actions: somebody with every right, or whoever
stole it, did too much at once. So there is a bound that no right lifts, for each kind of deed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

HOUR = timedelta(hours=1)


class Deed(StrEnum):
    DISTURB = "disturb"
    """Takes something away: retiring a machine, a full report, a new link for a person."""
    DESCRIBE = "describe"
    """Says something else of a machine. The audit has what was said before, so it can be undone,
    and a day's work is hundreds of them: they have ten times as many."""
    EXPECT = "expect"
    """Says something of a machine before it is there. That disturbs nothing, and a site begins with
    thousands: it has no limit, but counts where many at once need a second person."""
    DEFEND = "defend"
    """Shuts somebody or something out. Who uses up what the whole site has must not keep others
    from that: so the site has no limit, and each person one of her own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    person: int = 100
    """Within an hour, so many machines, tokens or people by one person and her programs."""
    site: int = 300
    """And so many by all of them."""
    described: int = 1000
    """So many machines that one person says something else of."""
    described_site: int = 3000

    def of(self, deed: Deed) -> tuple[int | None, int | None]:
        """Return how much one person may, and all of them together; None: as much as they will."""
        match deed:
            case Deed.DISTURB:
                return self.person, self.site
            case Deed.DESCRIBE:
                return self.described, self.described_site
            case Deed.EXPECT:
                return None, None
            case Deed.DEFEND:
                return self.person, None

    def lower(self, other: Limits) -> Limits:
        """Return the lower one of each."""
        return Limits(
            person=min(self.person, other.person),
            site=min(self.site, other.site),
            described=min(self.described, other.described),
            described_site=min(self.described_site, other.described_site),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLimits:
    """Limits as a site set them; what is higher than before holds only from then on."""

    limits: Limits = Limits()
    before: Limits = Limits()
    since: datetime | None = None
    """None: all of them hold."""

    def at(self, now: datetime) -> Limits:
        if self.since is None or now >= self.since:
            return self.limits
        return self.limits.lower(self.before)

    def set_anew(self, limits: Limits, *, now: datetime, at_once: bool) -> SetLimits:
        """Return them after somebody set others.

        Higher ones wait for an hour, unless others agreed: whoever lifts a limit cannot use that
        within the hour that it is there for, and others hear of it meanwhile.
        """
        held = self.at(now)
        if at_once or limits.lower(held) == limits:
            return SetLimits(limits=limits)
        return replace(self, limits=limits, before=held, since=now + HOUR)


@dataclass(frozen=True, slots=True)
class Disruption:
    """Something that was done to so many."""

    at: datetime
    by: str
    count: int
    deed: Deed = Deed.DISTURB


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceeded:
    """Why it may not be done now."""

    limit: int
    spent: int
    is_of_site: bool
    free_at: datetime
    """When it may be, if nothing else is done until then; with more than the limit, never."""


def recent(done: Iterable[Disruption], now: datetime) -> list[Disruption]:
    """Return what still counts. A clock that was put back frees nobody."""
    return [one for one in done if one.at > now - HOUR]


def exceeded(done: Iterable[Disruption], wanted: Disruption, limits: Limits) -> Exceeded | None:
    """Say why not; None: it may be done."""
    counted = [one for one in recent(done, wanted.at) if one.deed is wanted.deed]
    own = [one for one in counted if one.by == wanted.by]
    of_person, of_site = limits.of(wanted.deed)
    over = _over(own, wanted, of_person, is_of_site=False)
    return over or _over(counted, wanted, of_site, is_of_site=True)


def _over(
    done: list[Disruption], wanted: Disruption, limit: int | None, *, is_of_site: bool
) -> Exceeded | None:
    spent = sum(one.count for one in done)
    if limit is None or spent + wanted.count <= limit:
        return None
    left, free_at = spent, wanted.at
    for one in sorted(done, key=lambda one: one.at):
        if left + wanted.count <= limit:
            break
        left, free_at = left - one.count, one.at + HOUR
    return Exceeded(limit=limit, spent=spent, is_of_site=is_of_site, free_at=free_at)
