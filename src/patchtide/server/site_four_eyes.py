"""The rule of four eyes, as a site sets it. To weaken it is itself covered by it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.access.proposals import Rule
from patchtide.domain.access.rights import KEEPING
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.context import Call
from patchtide.server.four_eyes import FOUR_EYES, eyes, eyes_among, read_rule
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Nothing, Output

_BEGINS, _HOUR = Rule(), timedelta(hours=1)


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
    ] = _BEGINS.delay // _HOUR
    lasts_h: Annotated[
        int, Meta(ge=96, le=720, description="After so many hours a proposal is over.")
    ] = _BEGINS.lasts // _HOUR


class ShownFourEyes(Output, kw_only=True, frozen=True):
    on: bool
    approvers: int
    machines_over: int
    delay_h: int
    lasts_h: int
    people: int
    """How many people administer accounts now, without those for whom nobody has vouched yet;
    with one alone, the delay stands for the other."""


async def show(call: Call, principal: Principal, asked: Nothing) -> ShownFourEyes:
    return await call.read(lambda: _read(call))


async def set_rule(call: Call, principal: Principal, asked: SetFourEyes) -> ShownFourEyes:
    """Raises InvalidDocument: so many people there are not."""
    rule = Rule(
        is_on=asked.on,
        approvers=asked.approvers,
        machines=asked.machines_over,
        delay=asked.delay_h * _HOUR,
        lasts=asked.lasts_h * _HOUR,
    )

    def work(tx: Transaction) -> ShownFourEyes:
        was = read_rule(tx.lock_setting(FOUR_EYES))
        people = len(eyes(tx, [KEEPING], now=call.now).able)
        if rule.is_on and rule.approvers > max(1, people - 1):
            what = f"are more than there are besides one: {people} people administer accounts"
            raise InvalidDocument([Problem("approvers", what)])
        tx.put_setting(FOUR_EYES, msgspec.msgpack.encode(rule))
        tx.note("site", **_told(rule), was=", ".join(f"{k} {v}" for k, v in _told(was).items()))
        return _shown(rule, people)

    return await call.decide(principal, work)


def _told(rule: Rule) -> dict[str, str | int]:
    return {
        "rule": "on" if rule.is_on else "off",
        "approvers": rule.approvers,
        "machines": rule.machines,
        "delay_h": rule.delay // _HOUR,
        "lasts_h": rule.lasts // _HOUR,
    }


def _read(call: Call) -> ShownFourEyes:
    lookups = call.context.lookups
    found = eyes_among(lookups.users(), [KEEPING], lookups.setting, now=call.now)
    return _shown(read_rule(lookups.setting(FOUR_EYES)), len(found.able))


def _shown(rule: Rule, people: int) -> ShownFourEyes:
    return ShownFourEyes(
        on=rule.is_on,
        approvers=rule.approvers,
        machines_over=rule.machines,
        delay_h=rule.delay // _HOUR,
        lasts_h=rule.lasts // _HOUR,
        people=people,
    )
