"""Subscriptions: which reports are sent by themselves, when, to whom, and why one was not."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from patchtide.adapters.console.bulk import Act, Rows, carry_out_named
from patchtide.adapters.console.choices import collected
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.principals import SessionHolder
from patchtide.domain.access.rights import Kind
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.compliance.machine_query import GROUPINGS
from patchtide.domain.errors import PatchtideError
from patchtide.server.named_reports import NAMED
from patchtide.server.report_scope import AboutReport
from patchtide.server.subscriptions import ShownSubscription, SubscriptionList
from patchtide.server.synchronisation_plan import DAYS

SUBSCRIPTIONS = Rows(
    field="name", form="/subscriptions/act", noun="subscription", plural="subscriptions"
)
ACTS: Mapping[str, Act] = MappingProxyType(
    {
        "unsubscribe": Act(
            operation="subscriptions.remove",
            label="Remove",
            done="removed",
            asks_first="It is not sent any more.",
        ),
        "send-now": Act(operation="subscriptions.test", label="Send now", done="sent"),
    }
)
ABOUT = AboutReport.__struct_fields__
_PLAN = ("every_h", "cycle", "days_after", "at", "zone")
_FIELDS = ("name", "report", "channel", "format", "way", *_PLAN, *ABOUT)
_FIRST: Mapping[str, Any] = MappingProxyType(
    {
        **dict.fromkeys(_FIELDS, ""),
        "way": "days", "days": ("monday",), "at": "07:00", "zone": "UTC", "every_h": "24",
        "days_after": "0", "format": "csv",
    }
)  # fmt: skip
_OF_WAY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"every": ("every_h",), "days": ("at", "zone"), "cycle": ("cycle", "days_after", "at", "zone")}
)


async def page(desk: Desk, visit: Visit) -> Reply:
    found: SubscriptionList = await desk.ask(visit, "subscriptions.list")
    holder = visit.principal
    return desk.page(
        visit,
        "subscriptions.html",
        found=found.items,
        named=NAMED,
        me=holder.actor if isinstance(holder, SessionHolder) else "",
        channels={one.name: one for one in await _channels(desk, visit)},
    )


async def new(desk: Desk, visit: Visit) -> Reply:
    """The form for the report that the address names, or for a subscription that is changed."""
    typed = {**_FIRST, **{k: v for k, v in visit.query.items() if k in ("report", *ABOUT)}}
    if changed := visit.query.get("change"):
        found: SubscriptionList = await desk.ask(visit, "subscriptions.list")
        typed = next((_typed(one) for one in found.items if one.name == changed), typed)
    return await _form(desk, visit, typed)


async def add(desk: Desk, visit: Visit) -> Reply:
    """Of the three ways to say when, the one that is chosen counts."""
    typed: dict[str, Any] = {name: visit.said(name).strip() for name in _FIELDS}
    typed["days"] = [day for day in visit.form.get("days", ()) if day]
    names = ("name", "report", "channel", "format", *ABOUT, *_OF_WAY.get(typed["way"], ()))
    said = {name: typed[name] for name in names if typed[name]}
    if typed["way"] == "days":
        said["days"] = typed["days"]
    try:
        await desk.ask(visit, "subscriptions.add", **said)
    except (PatchtideError, InvalidQuery) as error:
        return await _form(desk, visit, typed, error=error)
    return see_other("/subscriptions?done=subscribe-1")


async def act(desk: Desk, visit: Visit) -> Reply:
    return await carry_out_named(desk, visit, SUBSCRIPTIONS, ACTS, back="/subscriptions")


async def _form(
    desk: Desk, visit: Visit, typed: Mapping[str, Any], *, error: PatchtideError | None = None
) -> Reply:
    return desk.page(
        visit,
        "new_subscription.html",
        status=200 if error is None else desk.status_of(error),
        typed=typed,
        error=error,
        named=NAMED,
        about={name: typed[name] for name in ABOUT if typed[name]},
        lists=[one.name for one in (await desk.ask(visit, "lists.list")).items],
        channels=await _channels(desk, visit),
        days=DAYS,
        groupings=(*GROUPINGS, "machine"),
        collections=await collected(desk, visit),
    )


async def _channels(desk: Desk, visit: Visit) -> Any:
    """Return the channels; to whoever may not read them nothing, and he types a name."""
    if not desk.may_read(visit, Kind.ALERTS):
        return ()
    return (await desk.ask(visit, "channels.list")).items


def _typed(one: ShownSubscription) -> dict[str, Any]:
    way = "every" if one.every_h else "cycle" if one.cycle else "days"
    kept = {
        "name": one.name, "report": one.report, "channel": one.channel, "format": one.format,
        "way": way, "days": one.days, "cycle": one.cycle, "days_after": str(one.days_after),
        "at": one.at, "zone": one.zone, "every_h": str(one.every_h or 24),
    }  # fmt: skip
    return {**_FIRST, **one.about, **kept}
