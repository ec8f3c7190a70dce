"""How machines stood day by day, on what and of which collection; and updates against targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from patchtide.adapters.console.charts import drawn
from patchtide.adapters.console.choices import collected
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.rights import Kind
from patchtide.server.history import History
from patchtide.server.history_curves import only_place
from patchtide.server.targets import ClassTimes, TargetProgress

SPANS = (30, 90, 365, 1200)
SUBJECTS = ("update", "list", "search", "collection")
STATES = ("late", "open", "met")
SHOWN = 200


async def page(desk: Desk, visit: Visit) -> Reply:
    said = {name: visit.query[name] for name in SUBJECTS if visit.query.get(name)}
    days = visit.query.get("days") or "90"
    fleet = desk.context.fleet
    if fleet.lists and not {"list", "update", "search"} & said.keys():
        said["list"] = min(fleet.lists)  # who may read these alone has no history of all updates
    found: History = await desk.ask(visit, "history.show", **said, days=days)
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
        report={**said, "days_back": days},
        spans=SPANS,
        days=days,
        said=said,
        within=said.get("collection") or str(only_place(fleet) or ""),
        lists=lists,
        searches=[one for one in searches if one.shared],
        collections=await collected(desk, visit),
    )


async def targets(desk: Desk, visit: Visit) -> Reply:
    names = ("risk", "state", "collection")
    said = {name: visit.query[name] for name in names if visit.query.get(name)}
    found: TargetProgress = await desk.ask(visit, "targets.show", **said, limit=SHOWN)
    times: Sequence[ClassTimes] = ()
    sees_all = all(desk.may_read_everywhere(visit, one) for one in (Kind.MACHINES, Kind.CATALOG))
    if sees_all and not found.collection:
        times = (await desk.ask(visit, "history.times", limit=1)).classes
    return desk.page(
        visit,
        "targets.html",
        found=found,
        times=times,
        is_of_all=sees_all and not found.collection,
        collections=await collected(desk, visit),
        said=said,
        states=STATES,
        to=lambda **more: f"/targets?{urlencode({**said, **more})}",
    )
