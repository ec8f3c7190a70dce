"""How soon how many machines are to have an update, as a site sets it by risk class."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.risk import CLASSES, RiskClass
from patchtide.domain.catalog.targets import DEFAULT_TARGETS, LONGEST_DAYS, Target, Targets
from patchtide.server.context import Call
from patchtide.server.kept_targets import TARGETS, read_targets, written_targets
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Nothing, Output

RiskName = Literal["emergency", "high", "medium", "low"]


class SetTarget(Input, kw_only=True, frozen=True):
    """What is not said stays; with nothing said the class has the target that sites begin with."""

    risk: Annotated[RiskName, Meta(description="Of which risk class.")]
    percent: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None,
        Meta(description="Of a hundred machines that need it, so many are to have it."),
    ] = None
    days: Annotated[
        Annotated[int, Meta(ge=1, le=LONGEST_DAYS)] | None,
        Meta(description="Within so many days."),
    ] = None


class ShownTarget(Output, kw_only=True, frozen=True):
    risk: str
    percent: int
    days: int
    default: bool
    """It is what sites begin with."""


class TargetList(Output, kw_only=True, frozen=True):
    items: tuple[ShownTarget, ...]
    """The most urgent class first."""


async def show(call: Call, principal: Principal, asked: Nothing) -> TargetList:
    lookups = call.context.lookups
    return _shown(read_targets(await call.read(lambda: lookups.setting(TARGETS))))


async def set_target(call: Call, principal: Principal, asked: SetTarget) -> TargetList:
    risk = RiskClass(asked.risk)

    def work(tx: Transaction) -> Targets:
        known = read_targets(tx.lock_setting(TARGETS))
        target = _said(asked, known[risk], DEFAULT_TARGETS[risk])
        targets = {**known, risk: target}
        tx.put_setting(TARGETS, written_targets(targets))
        tx.note(risk.value, percent=target.percent, days=target.within.days)
        return targets

    return _shown(await call.decide(principal, work))


def _said(asked: SetTarget, known: Target, first: Target) -> Target:
    if asked.percent is None and asked.days is None:
        return first
    return replace(
        known,
        percent=asked.percent or known.percent,
        within=timedelta(days=asked.days) if asked.days else known.within,
    )


def _shown(targets: Targets) -> TargetList:
    return TargetList(
        items=tuple(
            ShownTarget(
                risk=risk.value,
                percent=targets[risk].percent,
                days=targets[risk].within.days,
                default=targets[risk] == DEFAULT_TARGETS[risk],
            )
            for risk in reversed(CLASSES)
        )
    )
