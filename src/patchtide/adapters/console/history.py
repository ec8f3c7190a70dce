"""How the fleet, an update or a list stood day by day; and how updates stand against targets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from patchtide.adapters.console.charts import drawn
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.listing import exported
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.visits import Visit
from patchtide.server.history import History, HistoryDay
from patchtide.server.targets import TargetProgress, UpdateProgress

SPANS = (30, 90, 365, 1200)
SUBJECTS = ("update", "list", "search")
STATES = ("late", "open", "met")
SHOWN = 200


async def page(desk: Desk, visit: Visit) -> Reply:
    said = {name: visit.query[name] for name in SUBJECTS if visit.query.get(name)}
    days = visit.query.get("days") or "90"
    found: History = await desk.ask(visit, "history.show", **said, days=days)
    if kind := visit.query.get("format"):
        return await asyncio.to_thread(exported, "history", found.items, _DAYS, kind)
    changes = Counter(change.at.date() for change in found.changes)
    lists = (await desk.ask(visit, "lists.list")).items
    searches = (await desk.ask(visit, "searches.list")).items

    def to(**more: Any) -> str:
        return f"/history?{urlencode({**said, 'days': days, **more})}"

    return desk.page(
        visit,
        "history.html",
        found=found,
        chart=drawn(found.items, changes=changes),
        changes=found.changes[::-1],
        to=to,
        spans=SPANS,
        days=days,
        said=said,
        lists=lists,
        searches=[one for one in searches if one.shared],
    )


async def targets(desk: Desk, visit: Visit) -> Reply:
    said = {name: visit.query[name] for name in ("risk", "state") if visit.query.get(name)}
    found: TargetProgress = await desk.ask(visit, "targets.show", **said, limit=SHOWN)
    if kind := visit.query.get("format"):
        return await asyncio.to_thread(exported, "targets", found.items, _UPDATES, kind)
    times = await desk.ask(visit, "history.times", limit=1)
    return desk.page(
        visit,
        "targets.html",
        found=found,
        times=times.classes,
        said=said,
        states=STATES,
        to=lambda **more: f"/targets?{urlencode({**said, **more})}",
    )


_DAYS: Mapping[str, Callable[[HistoryDay], Any]] = MappingProxyType(
    {
        "date": lambda day: str(day.date),
        "counted_at": lambda day: day.counted_at,
        "machines": lambda day: day.machines,
        "compliant": lambda day: day.compliant,
        "required": lambda day: day.required,
        "restart": lambda day: day.restart,
        "unknown": lambda day: day.unknown,
        "percent": lambda day: day.percent,
        "reporting": lambda day: day.reporting,
    }
)
_UPDATES: Mapping[str, Callable[[UpdateProgress], Any]] = MappingProxyType(
    {
        "id": lambda one: str(one.id),
        "title": lambda one: one.title,
        "risk": lambda one: one.risk,
        "state": lambda one: one.state,
        "since": lambda one: str(one.since),
        "due": lambda one: str(one.due),
        "percent": lambda one: one.percent,
        "target": lambda one: one.target,
        "lacking": lambda one: one.lacking,
        "machines": lambda one: one.machines,
        "outlook": lambda one: one.outlook,
        "earliest": lambda one: str(one.earliest or ""),
        "latest": lambda one: str(one.latest or ""),
    }
)
