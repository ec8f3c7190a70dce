"""Alerts: what is raised and who has taken it on, the rules, and what was raised before."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from patchtide.adapters.console.bulk import Act, Rows, carry_out_named
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.trail import names_of
from patchtide.adapters.console.visits import Visit
from patchtide.domain.errors import PatchtideError
from patchtide.server.alerts import RuleList, ShownRule

RULES = Rows(field="name", form="/alerts/act", noun="alert", plural="alerts")
ACTS: Mapping[str, Act] = MappingProxyType(
    {
        "acknowledge": Act(operation="alerts.acknowledge", label="Take on", done="taken on"),
        "remove-alert": Act(
            operation="alerts.remove",
            label="Remove",
            done="removed",
            asks_first="Nothing tells of this any more; what it raised ends.",
        ),
    }
)
FIELDS = ("name", "watched", "limit", "unit", "query", "margin", "lasting_min")
_EMPTY: Mapping[str, Any] = MappingProxyType({**dict.fromkeys(FIELDS, ""), "channels": ()})


async def page(desk: Desk, visit: Visit) -> Reply:
    changed = visit.query.get("change", "")
    found: RuleList = await desk.ask(visit, "alerts.list")
    rule = next((one for one in found.items if one.name == changed), None)
    return await _shown(desk, visit, typed=_EMPTY if rule is None else _typed(rule))


def _typed(rule: ShownRule) -> Mapping[str, Any]:
    said = {name: getattr(rule, name) for name in FIELDS}
    numbers = {name: f"{said[name]:g}" for name in ("limit", "margin")}
    return {**said, **numbers, "channels": rule.channels}


async def define(desk: Desk, visit: Visit) -> Reply:
    typed: dict[str, Any] = {name: visit.said(name).strip() for name in FIELDS}
    said = {k: v for k, v in typed.items() if v}
    typed["channels"] = visit.form.get("channels", ())
    try:
        await desk.ask(visit, "alerts.define", **said, channels=typed["channels"])
    except PatchtideError as error:
        return await _shown(desk, visit, error=error, typed=typed)
    return see_other("/alerts?done=define-alert-1")


async def act(desk: Desk, visit: Visit) -> Reply:
    return await carry_out_named(desk, visit, RULES, ACTS, back="/alerts")


async def _shown(
    desk: Desk,
    visit: Visit,
    *,
    error: PatchtideError | None = None,
    typed: Mapping[str, Any] = _EMPTY,
) -> Reply:
    found = await desk.ask(visit, "alerts.list")
    history = await desk.ask(visit, "alerts.history")
    return desk.page(
        visit,
        "alerts.html",
        status=200 if error is None else desk.status_of(error),
        found=found,
        ended=[one for one in history.items if one.ended_at],
        channels=(await desk.ask(visit, "channels.list")).items,
        names=await names_of(desk, visit),
        error=error,
        typed=typed,
    )
