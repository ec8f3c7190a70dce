"""The rule of four eyes, as a site sets it. To weaken it is itself covered by it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.access.rights import KEEPING
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.context import Call
from patchtide.server.four_eyes import FOUR_EYES, KeptRule, eyes, eyes_among, read_rule
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Nothing, Output

_BEGINS = KeptRule()


class SetFourEyes(Input, kw_only=True, frozen=True):
    """What is not said is as sites begin."""

    on: Annotated[bool, Meta(description="Let covered operations wait for a second person.")] = (
        _BEGINS.is_on
    )
    approvers: Annotated[
        int, Meta(ge=1, le=5, description="So many people must agree, besides who proposed it.")
    ] = _BEGINS.approvers
    machines_over: Annotated[
        int, Meta(ge=0, le=10_000, description="More machines than that are covered.")
    ] = _BEGINS.machines
    delay_h: Annotated[
        int,
        Meta(ge=1, le=72, description="After so many hours it can be done where nobody else is."),
    ] = _BEGINS.delay_h
    lasts_h: Annotated[
        int, Meta(ge=96, le=720, description="After so many hours a proposal is over.")
    ] = _BEGINS.lasts_h


class ShownFourEyes(Output, kw_only=True, frozen=True):
    on: bool
    approvers: int
    machines_over: int
    delay_h: int
    lasts_h: int
    people: int
    """How many people administer accounts now; with one alone, the delay stands for the other."""


async def show(call: Call, principal: Principal, asked: Nothing) -> ShownFourEyes:
    return await call.read(lambda: _read(call))


async def set_rule(call: Call, principal: Principal, asked: SetFourEyes) -> ShownFourEyes:
    """Raises InvalidDocument: so many people there are not."""
    kept = KeptRule(
        is_on=asked.on,
        approvers=asked.approvers,
        machines=asked.machines_over,
        delay_h=asked.delay_h,
        lasts_h=asked.lasts_h,
    )

    def work(tx: Transaction) -> ShownFourEyes:
        was = read_rule(tx.lock_setting(FOUR_EYES))
        people = len(eyes(tx, [KEEPING], now=call.now).able)
        if kept.is_on and kept.approvers > max(1, people - 1):
            what = f"are more than there are besides one: {people} people administer accounts"
            raise InvalidDocument([Problem("approvers", what)])
        tx.put_setting(FOUR_EYES, msgspec.msgpack.encode(kept))
        tx.note("site", **_told(kept), was=", ".join(f"{k} {v}" for k, v in _told(was).items()))
        return _shown(kept, people)

    return await call.decide(principal, work)


def _told(kept: KeptRule) -> dict[str, str | int]:
    return {
        "rule": "on" if kept.is_on else "off",
        "approvers": kept.approvers,
        "machines": kept.machines,
        "delay_h": kept.delay_h,
        "lasts_h": kept.lasts_h,
    }


def _read(call: Call) -> ShownFourEyes:
    lookups = call.context.lookups
    found = eyes_among(lookups.users(), [KEEPING], lookups.setting, now=call.now)
    return _shown(read_rule(lookups.setting(FOUR_EYES)), len(found.able))


def _shown(kept: KeptRule, people: int) -> ShownFourEyes:
    return ShownFourEyes(
        on=kept.is_on,
        approvers=kept.approvers,
        machines_over=kept.machines,
        delay_h=kept.delay_h,
        lasts_h=kept.lasts_h,
        people=people,
    )
