"""How new each suite was when it was read: what is older, or from the future, is not taken.

Whoever can put an older archive in the newer one's place, rightly signed as it is, would make every
newer fix leave. One from the future would make every rightly dated one after it an older one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from patchtide.domain.errors import Refused
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.feed import FeedHead

DATES = "catalog.feed-dates"
"""Suite -> when the newest of it that was ever read had been signed, in epoch seconds."""
AHEAD = timedelta(days=1)
"""So far a vendor's clock, or another site's, may be ahead of this one's."""


class FeedWentBack(Refused):
    """The feed is older than what it has told before."""

    code = "feed-went-back"


class FeedAhead(Refused):
    """The feed says that it was signed in the future."""

    code = "feed-ahead"


def read_dates(data: bytes | None) -> dict[str, float]:
    return msgspec.msgpack.decode(data, type=dict[str, float]) if data else {}


def dates_of(head: FeedHead) -> dict[str, float]:
    return {suite: at.timestamp() for suite, at in head.as_of.items()}


def require_fit(head: FeedHead, known: Mapping[str, float], now: datetime) -> None:
    """Raises FeedWentBack, FeedAhead."""
    for suite, at in dates_of(head).items():
        if at > (now + AHEAD).timestamp():
            raise FeedAhead(f"{suite} was signed at {_moment(at)}, and it is {now:%F %R}")
        if at < known.get(suite, at):
            before = _moment(known[suite])
            raise FeedWentBack(
                f"{suite} was signed at {_moment(at)}; what was read before, at {before}"
            )


def remember(tx: Transaction, head: FeedHead, now: datetime) -> None:
    """Raises FeedWentBack, FeedAhead: another node has read newer content meanwhile."""
    known, told = read_dates(tx.lock_setting(DATES)), dates_of(head)
    require_fit(head, known, now)
    tx.put_setting(DATES, msgspec.msgpack.encode(known | told))
    tx.note("feed", suites=len(told.items() - known.items()))


def forget(tx: Transaction, suites: Iterable[str]) -> list[str]:
    """Let older content of these count again; return those of which anything was remembered."""
    known = read_dates(tx.lock_setting(DATES))
    forgotten = sorted(known.keys() & set(suites))
    if forgotten:
        kept = {suite: at for suite, at in known.items() if suite not in forgotten}
        tx.put_setting(DATES, msgspec.msgpack.encode(kept))
    return forgotten


def _moment(epoch_s: float) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%F %R}"
