"""How many requests are in work at once, and when those beyond come back.

After an outage a whole fleet may come at the same moment. Who is let in is answered soon, and who
is not is given a time of his own: one after the other, as fast as this node answers. Whoever tells
everybody "in three seconds" has everybody back in three seconds, again and again.
"""

from __future__ import annotations

MOST, FEWEST = 4096, 64
ANSWERED_WITHIN_S = 1.0
"""No more are let in than can be answered in this time at the rate of late."""
ALL_WITHIN_S = 600.0
"""Times are given no further ahead: machines stretch them by half, which makes a quarter hour."""
SHARE = 0.7
"""Of what can be answered so much is given away; the rest is for those who come by themselves."""
SLOWEST_PER_S = 1.0
MEASURED_S = 0.5
WEIGHT = 0.3


class Crowd:
    """One node's. `now` is any clock that only goes forward, in seconds."""

    def __init__(self, *, capacity_per_s: float) -> None:
        """`capacity_per_s` is what is believed until it has been busy enough to know better."""
        self._capacity_per_s = capacity_per_s
        self._in_work = 0
        self._given_until = 0.0
        self._began = 0.0
        self._answered = 0
        self._forged = 0
        self._idle = True
        self._given: dict[bytes, float] = {}
        """Whose time is when; forgotten once all of them are over."""

    @property
    def capacity_per_s(self) -> float:
        """Requests that it answers a second when it has enough to do."""
        return self._capacity_per_s

    @property
    def is_full(self) -> bool:
        return self._in_work >= self._room()

    def enter(self, now: float, caller: bytes | None) -> float | None:
        """Let one in and return None; or return after how many seconds it may come back.

        `caller`: who it says it is, of those who are known here. Nothing of that is verified yet,
        so each has one time and no more, and strangers have none: they come when all others have.
        """
        if self.is_full:
            return self._come_back_s(now, caller)
        if not self._in_work:
            self._idle = True
        self._in_work += 1
        return None

    def leave(self, now: float, *, counts: bool = True) -> None:
        """Note that one who was let in has been answered, or refused; that says less.

        `counts`: it was a known machine's own request. Whoever forges some must not make believe
        that this node is as fast with those of machines.
        """
        self._in_work -= 1
        self._answered += counts
        self._forged += not counts
        took = now - self._began
        if took < MEASURED_S:
            return
        # Who had nothing to do for a moment says nothing of how fast he could be.
        # Where most are forged, those of machines that come say nothing of it either.
        is_known = not self._idle and self._forged <= self._answered
        if is_known and took < 4 * MEASURED_S:
            rate = self._answered / took
            self._capacity_per_s += WEIGHT * (rate - self._capacity_per_s)
            self._capacity_per_s = max(self._capacity_per_s, SLOWEST_PER_S)
        self._began, self._answered, self._forged = now, 0, 0
        self._idle = self._in_work < FEWEST // 4

    def _room(self) -> float:
        return min(MOST, max(FEWEST, self._capacity_per_s * ANSWERED_WITHIN_S))

    def _come_back_s(self, now: float, caller: bytes | None) -> float:
        first = now + self._in_work / self._capacity_per_s
        if caller is None:
            return min(max(self._given_until, first) - now, ALL_WITHIN_S)
        if now > self._given_until:
            self._given.clear()
        given = self._given.get(caller, now)
        if given > now:
            return given - now
        at = max(self._given_until, first) + 1 / (SHARE * self._capacity_per_s)
        if at > now + ALL_WITHIN_S:
            at = first
        self._given_until = self._given[caller] = at
        return at - now
