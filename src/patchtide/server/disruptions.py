"""What was done lately that disturbs, kept in the database, and what each such decision asks of it.

So it holds for all nodes, and a server that starts anew has not forgotten it. What a program does
counts for the person who let it in: otherwise many tokens would be many times the limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from patchtide.domain.access.limits import Disruption, Exceeded, Limits, exceeded, recent
from patchtide.domain.access.persons import behind
from patchtide.domain.errors import TooMuch
from patchtide.server.ports.decisions import Transaction

LIMITS, DONE = "access.limits", "access.disruptions"
REACHED = "limits.reached"
"""The audit's word for somebody who was stopped."""


class HourlyLimit(TooMuch):
    """So much is not done within an hour here, whoever asks."""

    code = "hourly-limit"


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    at: float
    by: str
    count: int


class KeptLimits(msgspec.Struct, frozen=True, kw_only=True):
    person: int = Limits().person
    site: int = Limits().site

    def limits(self) -> Limits:
        return Limits(person=self.person, site=self.site)


def read_limits(data: bytes | None) -> KeptLimits:
    return msgspec.msgpack.decode(data, type=KeptLimits) if data else KeptLimits()


def disturbed_lately(tx: Transaction, actor: str, *, now: datetime) -> int:
    """Return how many somebody and her programs disturbed within the hour."""
    person = behind(actor, tx.api_token_makers())
    return sum(one.count for one in recent(_done(tx.setting(DONE)), now) if one.by == person)


def spend(tx: Transaction, actor: str, count: int, *, now: datetime) -> None:
    """Note that this decision disturbs so many.

    Raises:
        HourlyLimit: that would be too many within the hour.
    """
    done = _done(tx.lock_setting(DONE))
    wanted = Disruption(now, behind(actor, tx.api_token_makers()), count)
    limits = read_limits(tx.setting(LIMITS)).limits()
    if over := exceeded(done, wanted, limits):
        raise HourlyLimit(_why(over, count))
    tx.put_setting(DONE, _pack([*recent(done, now), wanted]))


def _done(data: bytes | None) -> list[Disruption]:
    kept = msgspec.msgpack.decode(data, type=list[_Kept]) if data else []
    return [Disruption(datetime.fromtimestamp(k.at, UTC), k.by, k.count) for k in kept]


def _pack(done: Iterable[Disruption]) -> bytes:
    return msgspec.msgpack.encode([_Kept(d.at.timestamp(), d.by, d.count) for d in done])


def _why(over: Exceeded, count: int) -> str:
    who = "at this site" if over.is_of_site else "by one person"
    said = f"{over.spent} of {over.limit} that may be disturbed within an hour {who} have been"
    if count > over.limit:
        return f"{said}, and these are {count}: do it in parts, or have the limit set"
    return f"{said}; go on at {over.free_at:%H:%M} UTC, or have the limit set"
