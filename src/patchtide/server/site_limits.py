"""The limits per hour, as a site sets them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from patchtide.domain.access import limits
from patchtide.domain.access.limits import Limits
from patchtide.domain.access.principals import Principal
from patchtide.server.context import Call
from patchtide.server.disruptions import LIMITS, pack_limits, read_limits
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Nothing, Output

Count = Annotated[int, Meta(ge=1, le=100_000)]
_BEGINS = Limits()


class SetLimits(Input, kw_only=True, frozen=True):
    """What is not said is as sites begin."""

    person: Annotated[
        Count, Meta(description="So many within an hour, by one person and her programs.")
    ] = _BEGINS.person
    site: Annotated[Count, Meta(description="So many within an hour, by everybody.")] = _BEGINS.site
    described: Annotated[
        Count, Meta(description="So many machines that one person says something else of.")
    ] = _BEGINS.described
    described_site: Annotated[
        Count, Meta(description="So many that everybody says something else of.")
    ] = _BEGINS.described_site


class ShownLimits(Output, kw_only=True, frozen=True):
    person: int
    site: int
    described: int
    described_site: int
    higher_from: datetime | None = None
    """Higher ones were set, which hold from then on."""
    higher: dict[str, int] = msgspec.field(default_factory=dict)


async def show(call: Call, principal: Principal, asked: Nothing) -> ShownLimits:
    known = await call.read(lambda: read_limits(call.context.lookups.setting(LIMITS)))
    return _shown(known, call.now)


async def set_limits(call: Call, principal: Principal, asked: SetLimits) -> ShownLimits:
    """Set them; what is lower holds at once, what is higher in an hour or when others agreed."""
    wanted = Limits(
        person=asked.person,
        site=asked.site,
        described=asked.described,
        described_site=asked.described_site,
    )

    def work(tx: Transaction) -> limits.SetLimits:
        known = read_limits(tx.lock_setting(LIMITS))
        was = known.at(call.now)
        made = known.set_anew(wanted, now=call.now, at_once=call.is_agreed)
        tx.put_setting(LIMITS, pack_limits(made))
        raised = [name for name, count in _named(wanted).items() if count > _named(was)[name]]
        tx.note(
            "site",
            **_named(wanted),
            was=", ".join(f"{name} {count}" for name, count in _named(was).items()),
            raised=", ".join(raised),
        )
        return made

    return _shown(await call.decide(principal, work), call.now)


def _named(some: Limits) -> dict[str, int]:
    return {
        "person": some.person,
        "site": some.site,
        "described": some.described,
        "described_site": some.described_site,
    }


def _shown(known: limits.SetLimits, now: datetime) -> ShownLimits:
    held = _named(known.at(now))
    higher = {name: n for name, n in _named(known.limits).items() if n != held[name]}
    return ShownLimits(**held, higher=higher, higher_from=known.since if higher else None)
