"""Alerts: what is raised and who has taken it on, the rules, and what was raised before."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from patchtide.adapters.console.bulk import Act, Chosen, Rows, carry_out
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.trail import names_of
from patchtide.adapters.console.visits import Visit
from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem
from patchtide.server.channels import Tested

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
_EMPTY: Mapping[str, str] = MappingProxyType(dict.fromkeys(FIELDS, ""))


async def page(desk: Desk, visit: Visit) -> Reply:
    return await _shown(desk, visit)


async def define(desk: Desk, visit: Visit) -> Reply:
    typed = {name: visit.said(name).strip() for name in FIELDS}
    said = {k: v for k, v in typed.items() if v}
    try:
        await desk.ask(visit, "alerts.define", **said, channels=visit.form.get("channels", ()))
    except PatchtideError as error:
        return await _shown(desk, visit, error=error, typed=typed)
    return see_other("/alerts?done=define-alert-1")


async def act(desk: Desk, visit: Visit) -> Reply:
    doing, name = visit.said("act"), visit.said("name")
    if doing not in ACTS:
        raise InvalidDocument([Problem("act", "is nothing that can be done to an alert")])
    chosen = [Chosen(id=name, name=name)] if name else []
    return await carry_out(desk, visit, RULES, doing, ACTS[doing], chosen, back="/alerts")


async def test(desk: Desk, visit: Visit) -> Reply:
    """Show at once what came of it; nothing keeps that."""
    name = visit.said("name")
    try:
        tested: Tested = await desk.ask(visit, "alerts.test", name=name)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return await _shown(desk, visit, tested=(name, tested))


async def _shown(
    desk: Desk,
    visit: Visit,
    *,
    error: PatchtideError | None = None,
    typed: Mapping[str, str] = _EMPTY,
    tested: tuple[str, Tested] | None = None,
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
        tested=tested,
        names=await names_of(desk, visit),
        error=error,
        typed=typed,
    )
