"""The limits per hour, as a site sets them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.server.context import Call
from patchtide.server.disruptions import LIMITS, KeptLimits, read_limits
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Nothing, Output

Count = Annotated[int, Meta(ge=1, le=100_000)]


class SetLimits(Input, kw_only=True, frozen=True):
    """What is not said is as sites begin."""

    person: Annotated[
        Count, Meta(description="So many within an hour, by one person and her programs.")
    ] = KeptLimits().person
    site: Annotated[Count, Meta(description="So many within an hour, by everybody.")] = (
        KeptLimits().site
    )


class ShownLimits(Output, kw_only=True, frozen=True):
    person: int
    site: int


async def show(call: Call, principal: Principal, asked: Nothing) -> ShownLimits:
    return _shown(await call.read(lambda: read_limits(call.context.lookups.setting(LIMITS))))


async def set_limits(call: Call, principal: Principal, asked: SetLimits) -> ShownLimits:
    kept = KeptLimits(person=asked.person, site=asked.site)

    def work(tx: Transaction) -> None:
        was = read_limits(tx.lock_setting(LIMITS))
        tx.put_setting(LIMITS, msgspec.msgpack.encode(kept))
        raised = {"raised": "yes"} if kept.person > was.person or kept.site > was.site else {}
        tx.note(
            "site", person=kept.person, site=kept.site, was=f"{was.person}, {was.site}", **raised
        )

    await call.decide(principal, work)
    return _shown(kept)


def _shown(kept: KeptLimits) -> ShownLimits:
    return ShownLimits(person=kept.person, site=kept.site)
