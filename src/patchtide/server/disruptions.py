"""What was done lately that disturbs, kept in the database, and what each such decision asks of it.

So it holds for all nodes, and a server that starts anew has not forgotten it. What a program does
counts for the person who let it in: otherwise many tokens would be many times the limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from patchtide.domain.access.limits import (
    Deed,
    Disruption,
    Exceeded,
    Limits,
    SetLimits,
    exceeded,
    recent,
)
from patchtide.domain.access.persons import behind
from patchtide.domain.errors import TooMuch
from patchtide.server.ports.decisions import Transaction

LIMITS, DONE = "access.limits", "access.disruptions"
REACHED = "limits.reached"
"""The audit's word for somebody who was stopped."""


class HourlyLimit(TooMuch):
    """So much is not done within an hour here, whoever asks."""

    code = "hourly-limit"

    def __init__(self, message: str | None = None, *, count: int = 0) -> None:
        self.count = count
        super().__init__(message)


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    at: float
    by: str
    count: int
    deed: Deed = Deed.DISTURB


class KeptLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits as they are stored; `before` holds until `since` for what is higher now."""

    person: int = Limits().person
    site: int = Limits().site
    described: int = Limits().described
    described_site: int = Limits().described_site
    before: tuple[int, int, int, int] | None = None
    since: float = 0.0

    def read(self) -> SetLimits:
        limits = Limits(
            person=self.person,
            site=self.site,
            described=self.described,
            described_site=self.described_site,
        )
        if self.before is None:
            return SetLimits(limits=limits)
        person, site, described, described_site = self.before
        before = Limits(
            person=person, site=site, described=described, described_site=described_site
        )
        return SetLimits(
            limits=limits, before=before, since=datetime.fromtimestamp(self.since, UTC)
        )


def read_limits(data: bytes | None) -> SetLimits:
    return (msgspec.msgpack.decode(data, type=KeptLimits) if data else KeptLimits()).read()


def pack_limits(made: SetLimits) -> bytes:
    limits, before = made.limits, made.before
    kept = KeptLimits(
        person=limits.person,
        site=limits.site,
        described=limits.described,
        described_site=limits.described_site,
    )
    if made.since is not None:
        was = (before.person, before.site, before.described, before.described_site)
        kept = msgspec.structs.replace(kept, before=was, since=made.since.timestamp())
    return msgspec.msgpack.encode(kept)


def done_lately(tx: Transaction, actor: str, deed: Deed, *, now: datetime) -> int:
    """Return to how many somebody and her programs did that within the hour."""
    person = behind(actor, tx.api_token_makers())
    done = recent(_done(tx.setting(DONE)), now)
    return sum(one.count for one in done if (one.by, one.deed) == (person, deed))


def spend(tx: Transaction, actor: str, deed: Deed, count: int, *, now: datetime) -> None:
    """Note that this decision does that to so many.

    Raises:
        HourlyLimit: that would be too many within the hour.
    """
    done = _done(tx.lock_setting(DONE))
    wanted = Disruption(now, behind(actor, tx.api_token_makers()), count, deed)
    limits = read_limits(tx.setting(LIMITS)).at(now)
    if over := exceeded(done, wanted, limits):
        raise HourlyLimit(_why(over, count), count=count)
    tx.put_setting(DONE, _pack([*recent(done, now), wanted]))


def _done(data: bytes | None) -> list[Disruption]:
    kept = msgspec.msgpack.decode(data, type=list[_Kept]) if data else []
    return [Disruption(datetime.fromtimestamp(k.at, UTC), k.by, k.count, k.deed) for k in kept]


def _pack(done: Iterable[Disruption]) -> bytes:
    return msgspec.msgpack.encode([_Kept(d.at.timestamp(), d.by, d.count, d.deed) for d in done])


def _why(over: Exceeded, count: int) -> str:
    who = "at this site" if over.is_of_site else "by one person"
    said = f"{over.spent} of {over.limit} within an hour {who} have been"
    if count > over.limit:
        return f"{said}, and these are {count}: do it in parts, or have the limit set"
    return f"{said}; go on at {over.free_at:%H:%M} UTC, or have the limit set"
