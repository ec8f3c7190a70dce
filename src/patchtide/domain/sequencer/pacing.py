"""When a machine speaks: its own slot in each period, and how it backs off.

The place in the period comes from the machine's UUID, so a fleet spreads itself evenly, and after
an outage it comes back spread over the whole period. There is one layer of retries, this one.
Instants are epoch seconds: they are stored at every step.
"""

from __future__ import annotations

from hashlib import sha256

from patchtide.domain.schedules.scanning import LONGEST_POLL_S

FIRST_RETRY_S = 30
LONGEST_RETRY_S = 900
"""Whoever cannot reach the server tries again after this time at the latest, however seldom it
polls: so after any outage a fleet is back within a quarter of an hour, and spread over it."""
MAX_RETRY_AFTER_S = 3600
REFRESH_EVERY_S = 86_400
SHORTEST_POLL_S = 15
SCAN_SPREAD_S = 2 * 3600
"""Only scans that a machine makes by itself are spread; what somebody asks for is done at once."""


def fraction(seed: bytes, salt: str = "") -> float:
    """Return the machine's place, 0 to just under 1: always the same for the same salt."""
    return int.from_bytes(sha256(seed + salt.encode()).digest()[:6]) / 2**48


def next_slot(seed: bytes, *, period_s: int, now: float) -> float:
    """Return the next instant after `now` that is this machine's own in each period."""
    period_s = min(max(period_s, SHORTEST_POLL_S), LONGEST_POLL_S)
    start = now - now % period_s + fraction(seed) * period_s
    return start if start > now else start + period_s


def next_scan(seed: bytes, *, every_s: int, now: float) -> float:
    """Return when to scan by itself again: not all machines that scanned together do so again.

    The place within the spread is another one each time, so that nobody is always the last.
    """
    return now + every_s + SCAN_SPREAD_S * fraction(seed, f"scan {int(now // every_s)}")


def retry_delay(seed: bytes, *, failures: int, cap_s: int) -> float:
    """Return the wait after so many failures in a row: doubling, capped, half of it jitter."""
    ceiling = min(max(cap_s, FIRST_RETRY_S), FIRST_RETRY_S * 2 ** min(failures - 1, 16))
    return float(ceiling * (0.5 + 0.5 * fraction(seed, f"retry {failures}")))


def heed_retry_after(seed: bytes, *, asked_s: float) -> float:
    """Return the wait when the server is busy: never less than asked, up to half as much more.

    What asks is not signed, so it may slow the machine down to an hour and no further.
    """
    asked_s = min(max(asked_s, 1.0), MAX_RETRY_AFTER_S)
    return asked_s * (1 + 0.5 * fraction(seed, "retry-after"))
