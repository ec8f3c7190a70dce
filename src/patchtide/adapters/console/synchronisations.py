"""Synchronisations: how far the running one is, what became of the others, when and what next."""

from __future__ import annotations

from typing import Any

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.trail import names_of
from patchtide.adapters.console.visits import Visit
from patchtide.domain.errors import PatchtideError
from patchtide.server.feed_connections import TriedList
from patchtide.server.synchronisation_choices import SelectionList, ShownSchedule
from patchtide.server.synchronisation_plan import DAYS
from patchtide.server.synchronisations import SynchronisationList

_SCHEDULED = ("every_h", "cycle", "days_after", "for_days", "at", "zone")


async def page(desk: Desk, visit: Visit) -> Reply:
    return await _shown(desk, visit)


async def begin(desk: Desk, visit: Visit) -> Reply:
    try:
        await desk.ask(visit, "catalog.synchronise", full=visit.said("full") == "yes")
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return see_other("/synchronisations")


async def test(desk: Desk, visit: Visit) -> Reply:
    """Show what was found at once: it holds for this moment, and nothing keeps it."""
    try:
        found: TriedList = await desk.ask(visit, "feeds.test")
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return await _shown(desk, visit, tried=found)


async def reschedule(desk: Desk, visit: Visit) -> Reply:
    """Of the three ways the one that is chosen counts, whatever stands in the others."""
    way = visit.said("way")
    said: dict[str, Any] = {name: visit.said(name) for name in _SCHEDULED if visit.said(name)}
    if way != "every":
        said.pop("every_h", None)
    if way != "cycle":
        said = {k: v for k, v in said.items() if k not in ("cycle", "days_after", "for_days")}
    if way == "never":
        said = {}
    if way == "days":
        said["days"] = visit.form.get("days", ())
    try:
        await desk.ask(visit, "catalog.reschedule", **said)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return see_other("/synchronisations?done=reschedule-1")


async def select(desk: Desk, visit: Visit) -> Reply:
    chosen = {
        name: [text for text in visit.form.get(name, ()) if text]
        for name in ("products", "classifications", "severities")
    }
    languages = visit.said("languages").replace(",", " ").split()
    try:
        await desk.ask(
            visit, "catalog.select", feed=visit.said("feed"), languages=languages, **chosen
        )
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return see_other("/synchronisations?done=select-1")


async def _shown(
    desk: Desk,
    visit: Visit,
    *,
    error: PatchtideError | None = None,
    tried: TriedList | None = None,
) -> Reply:
    before = visit.query.get("before", "")
    found: SynchronisationList = await desk.ask(
        visit, "catalog.synchronisations", limit=50, before=before if before.isdigit() else 0
    )
    schedule: ShownSchedule = await desk.ask(visit, "catalog.schedule")
    selection: SelectionList = await desk.ask(visit, "catalog.selection")
    return desk.page(
        visit,
        "synchronisations.html",
        status=200 if error is None else desk.status_of(error),
        found=found,
        schedule=schedule,
        selection=selection,
        days=DAYS,
        names=await names_of(desk, visit),
        error=error,
        tried=tried,
        is_newest=not before,
    )
