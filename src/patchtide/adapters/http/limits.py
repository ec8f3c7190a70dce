"""How much is taken from one caller: rates by token buckets, bodies by size. Memory is bounded."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from patchtide.adapters.http.problems import TooLarge, TooOften
from patchtide.domain.access import callers
from patchtide.domain.errors import InvalidDocument, Problem

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

BODY_LIMIT = 1 << 20
BUCKETS_KEPT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    per_s: float
    burst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What one holder, one address without credential, and one address that fails may do."""

    holder: Rate = Rate(per_s=50, burst=200)
    anonymous: Rate = Rate(per_s=10, burst=50)
    failure: Rate = Rate(per_s=0.2, burst=20)
    claim: Rate = Rate(per_s=0.1, burst=5)


class Buckets:
    """One token bucket a key; the key longest unused is forgotten first."""

    def __init__(
        self,
        rate: Rate,
        *,
        kept: int = BUCKETS_KEPT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._kept = kept
        self._monotonic = monotonic
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, key: str) -> None:
        """Take one token.

        Raises:
            TooOften: there is none; with the time until there is.
        """
        self.look(key)
        now = self._monotonic()
        self._levels[key] = (self._level(key, now) - 1, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._kept:
            self._levels.popitem(last=False)

    def look(self, key: str) -> None:
        """Raise as `take` does, but take nothing."""
        level = self._level(key, self._monotonic())
        if level < 1:
            raise TooOften((1 - level) / self._rate.per_s)

    def _level(self, key: str, now: float) -> float:
        level, since = self._levels.get(key, (self._rate.burst, now))
        return min(self._rate.burst, level + (now - since) * self._rate.per_s)


def caller_key(client: tuple[str, int] | None) -> str:
    """Return for whom a rate of this connection is counted."""
    return "" if client is None else callers.caller_key(client[0])


async def parts_of(receive: Receive) -> AsyncIterator[bytes]:
    """Yield the body as it comes; whoever takes it bounds it.

    Raises:
        InvalidDocument: the connection ended within it.
    """
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidDocument([Problem("body", "the connection ended within it")])
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def body_of(receive: Receive, *, limit: int = BODY_LIMIT) -> bytes:
    """Return the whole body.

    Raises:
        TooLarge: as soon as it is; the rest is not read.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidDocument([Problem("body", "the connection ended within it")])
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise TooLarge(f"at most {limit} bytes are accepted")
        if not message.get("more_body"):
            return b"".join(parts)
