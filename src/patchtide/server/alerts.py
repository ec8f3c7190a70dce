"""Rules of alerts, and what they raised: defined, shown, taken on by somebody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.alerts.rules import UNITS, Unit, Watched
from patchtide.domain.alerts.turns import Turn
from patchtide.domain.catalog.query_parser import MAX_LENGTH, parse_query
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.errors import InvalidDocument, NotFound, Problem, WrongState
from patchtide.server.alert_book import (
    MOST,
    RULES,
    STANDINGS,
    KeptRule,
    KeptStanding,
    Standings,
    pack,
    read_rules,
    read_standings,
)
from patchtide.server.alert_message import turned
from patchtide.server.alert_words import amount
from patchtide.server.channel_book import CHANNELS, read_channels, tell
from patchtide.server.context import Call
from patchtide.server.ports.alerts import Alert
from patchtide.server.ports.decisions import Transaction
from patchtide.server.saved_searches import Name, OneName
from patchtide.server.table import Input, Nothing, Output
from patchtide.server.update_search import fields_of

HISTORY = 100


class DefineAlert(Input, kw_only=True, frozen=True):
    name: Name
    watched: Annotated[Watched, Meta(description="What is watched.")]
    limit: Annotated[
        float,
        Meta(gt=0, le=1e9, description="Where it is bad: of compliance below, of all else from."),
    ]
    unit: Annotated[
        Literal["", "count", "percent", "seconds"],
        Meta(description="In what the limit is said; empty: as is usual for what is watched."),
    ] = ""
    query: Annotated[
        str, Meta(max_length=MAX_LENGTH, description="Of compliance: which updates; empty: all.")
    ] = ""
    margin: Annotated[
        float,
        Meta(ge=0, le=1e9, description="How far beyond the limit it must come back to end."),
    ] = 0.0
    lasting_min: Annotated[
        int, Meta(ge=0, le=10_080, description="So many minutes it must last, to begin and to end.")
    ] = 5
    channels: Annotated[
        tuple[Name, ...], Meta(max_length=20, description="The channels that are told, too.")
    ] = ()


class ShownAlert(Output, kw_only=True, frozen=True):
    id: str
    rule: str
    text: str
    raised_at: datetime
    ended_at: datetime | None
    """Null: it is raised."""
    acknowledged_by: str
    acknowledged_at: datetime | None


class ShownRule(Output, kw_only=True, frozen=True):
    name: str
    watched: str
    limit: float
    unit: str
    query: str
    margin: float
    lasting_min: int
    channels: tuple[str, ...]
    defined_by: str
    defined_at: datetime
    is_raised: bool
    value: float | None
    """What was measured last; null: nothing could be."""
    shown: str
    """That in its unit, or that nothing could be measured; empty: it was not tried yet."""


class RuleList(Output, kw_only=True, frozen=True):
    items: tuple[ShownRule, ...]
    raised: tuple[ShownAlert, ...]
    measured_at: datetime | None


class RuleWhole(Output, kw_only=True, frozen=True):
    rule: ShownRule
    items: tuple[ShownAlert, ...]
    """When it was raised, the newest first."""


class AlertHistory(Output, kw_only=True, frozen=True):
    items: tuple[ShownAlert, ...]


async def define(call: Call, principal: Principal, asked: DefineAlert) -> ShownRule:
    """Define a rule, in place of one of the same name; what that one raised goes on.

    Raises:
        InvalidDocument: it could never be raised, or never end.
        InvalidQuery
        WrongState: there are too many already.
    """
    query = asked.query and await _canonical(call, asked.query)
    unit = Unit(asked.unit) if asked.unit else UNITS[asked.watched][0]
    kept = KeptRule(
        name=asked.name,
        watched=asked.watched,
        limit=asked.limit,
        unit=unit,
        query=query,
        margin=asked.margin,
        lasting_s=asked.lasting_min * 60.0,
        channels=tuple(dict.fromkeys(asked.channels)),
        by=principal.actor,
        at=call.now.timestamp(),
    )
    kept.rule()  # or it is none
    if kept.watched is Watched.DIVERGENCE and kept.limit > 1:
        what = "is at most 1 for divergence: documents are counted, not the machines that saw them"
        raise InvalidDocument([Problem("limit", what)])

    def work(tx: Transaction) -> KeptStanding:
        known = read_channels(tx.setting(CHANNELS))
        if missing := [name for name in kept.channels if name not in known]:
            raise InvalidDocument([Problem("channels", f"there is no channel {missing[0]}")])
        rules = {one.name: one for one in read_rules(tx.lock_setting(RULES))}
        before = rules.get(kept.name)
        rules[kept.name] = kept
        if len(rules) > MOST:
            raise WrongState(f"there are {MOST} rules already; remove one first")
        tx.put_setting(RULES, pack(sorted(rules.values(), key=lambda one: one.name)))
        standing = read_standings(tx.lock_setting(STANDINGS)).rules.get(kept.name, KeptStanding())
        if before is not None and standing.is_raised:
            left = [name for name in before.channels if name not in kept.channels]
            _tell_the_end(tx, before, standing, left, "is told elsewhere from now on", call.now)
        tx.note(kept.name, watched=kept.watched, limit=amount(kept.limit, unit), query=query)
        return standing

    return _shown_rule(kept, await call.decide(principal, work))


def _tell_the_end(
    tx: Transaction,
    rule: KeptRule,
    standing: KeptStanding,
    channels: Sequence[str],
    why: str,
    now: datetime,
) -> None:
    """Tell channels that hear no more of a raised alert, or they wait for its end for ever."""
    text = f"the rule {rule.name} {why}"
    tell(tx, turned(rule.rule(), Turn.ENDED, text, standing.value, now=now), channels)


async def _canonical(call: Call, query: str) -> str:
    fleet = call.context.fleet
    fields = await call.read_fleet(lambda: fleet.ask(fields_of))
    return query_text(parse_query(query, fields), fields)


async def remove(call: Call, principal: Principal, asked: OneName) -> None:
    """Remove a rule; what it raised ends with it.

    Raises:
        NotFound
    """

    def work(tx: Transaction) -> None:
        rules = {one.name: one for one in read_rules(tx.lock_setting(RULES))}
        gone = rules.pop(asked.name, None)
        if gone is None:
            raise NotFound
        tx.put_setting(RULES, pack(list(rules.values())))
        known = read_standings(tx.lock_setting(STANDINGS))
        others = dict(known.rules)
        standing = others.pop(asked.name, KeptStanding())
        tx.put_setting(STANDINGS, pack(msgspec.structs.replace(known, rules=others)))
        if tx.alerts.end(asked.name, at=call.now):
            _tell_the_end(tx, gone, standing, gone.channels, "was removed", call.now)
        tx.note(asked.name)

    await call.decide(principal, work)


async def acknowledge(call: Call, principal: Principal, asked: OneName) -> ShownAlert:
    """Take a raised alert on, by name.

    Raises:
        NotFound: none of that rule is raised.
    """

    def work(tx: Transaction) -> Alert:
        taken = tx.alerts.acknowledge(asked.name, by=principal.actor, at=call.now)
        if taken is None:
            raise NotFound(f"no alert of a rule {asked.name} is raised")
        tx.note(asked.name, id=taken.id)
        return taken

    return _shown(await call.decide(principal, work))


async def list_rules(call: Call, principal: Principal, asked: Nothing) -> RuleList:
    def question() -> RuleList:
        rules, known = _kept(call)
        at = known.measured_at
        return RuleList(
            items=tuple(_shown_rule(r, known.rules.get(r.name, KeptStanding())) for r in rules),
            raised=tuple(map(_shown, call.context.reading.alerts.raised())),
            measured_at=datetime.fromtimestamp(at, UTC) if at else None,
        )

    return await call.read(question)


async def show(call: Call, principal: Principal, asked: OneName) -> RuleWhole:
    """Raises NotFound."""

    def question() -> RuleWhole:
        rules, known = _kept(call)
        found = next((one for one in rules if one.name == asked.name), None)
        if found is None:
            raise NotFound
        alerts = call.context.reading.alerts.alerts(rule=asked.name, limit=HISTORY)
        return RuleWhole(
            rule=_shown_rule(found, known.rules.get(found.name, KeptStanding())),
            items=tuple(map(_shown, alerts)),
        )

    return await call.read(question)


async def history(call: Call, principal: Principal, asked: Nothing) -> AlertHistory:
    alerts = await call.read(lambda: call.context.reading.alerts.alerts(limit=HISTORY))
    return AlertHistory(items=tuple(map(_shown, alerts)))


def _kept(call: Call) -> tuple[Sequence[KeptRule], Standings]:
    setting = call.context.lookups.setting
    return read_rules(setting(RULES)), read_standings(setting(STANDINGS))


def _shown_rule(kept: KeptRule, standing: KeptStanding) -> ShownRule:
    value = standing.value
    return ShownRule(
        name=kept.name,
        watched=kept.watched,
        limit=kept.limit,
        unit=kept.unit,
        query=kept.query,
        margin=kept.margin,
        lasting_min=round(kept.lasting_s / 60),
        channels=kept.channels,
        defined_by=kept.by,
        defined_at=datetime.fromtimestamp(kept.at, UTC),
        is_raised=standing.is_raised,
        value=value,
        shown=_said(standing, kept.unit),
    )


def _said(standing: KeptStanding, unit: Unit) -> str:
    if standing.value is not None:
        return amount(standing.value, unit)
    return "not measured" if standing.unmeasured_since else ""


def _shown(alert: Alert) -> ShownAlert:
    return ShownAlert(
        id=alert.id,
        rule=alert.rule,
        text=alert.text,
        raised_at=alert.raised_at,
        ended_at=alert.ended_at,
        acknowledged_by=alert.acknowledged_by,
        acknowledged_at=alert.acknowledged_at,
    )
