"""What holds for the whole site, and its forms: each part for those who may read it."""

from __future__ import annotations

from typing import Any

from patchtide.adapters.console.choices import collection_names
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.rights import Kind
from patchtide.domain.errors import PatchtideError
from patchtide.server.collection_checks import may_name
from patchtide.server.site_agents import NO_ANCHOR


async def page(desk: Desk, visit: Visit) -> Reply:
    return await _shown(desk, visit)


async def set_target(desk: Desk, visit: Visit) -> Reply:
    said: dict[str, Any] = {"risk": visit.said("risk")}
    if not visit.said("first"):
        said |= {name: visit.said(name) for name in ("percent", "days")}
    try:
        await desk.ask(visit, "settings.set-target", **said)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return see_other("/settings?done=target-1")


async def set_agents(desk: Desk, visit: Visit) -> Reply:
    try:
        names = ("missed", "build_h")
        of_site = {name: visit.said(name) for name in names if visit.said(name)}
        await desk.ask(visit, "settings.set-agents", **_habits(visit), **of_site)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return see_other("/settings?done=agents")


async def set_collection_agents(desk: Desk, visit: Visit) -> Reply:
    collection = visit.said("collection")
    try:
        if visit.said("clear"):
            await desk.ask(visit, "settings.clear-collection-agents", collection=collection)
        else:
            said = {**_habits(visit), "collection": collection}
            if visit.said("place"):
                said["place"] = visit.said("place")
            await desk.ask(visit, "settings.set-collection-agents", **said)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return see_other("/settings?done=agents")


def _habits(visit: Visit) -> dict[str, Any]:
    names = ["poll_s", "scan_every_h", "updaters", "postpone_times", "postpone_h"]
    if visit.said("cycle"):
        names += ["cycle", "days_after", "for_days", "at", "zone"]
    said = {name: visit.said(name) for name in names}
    return {name: value for name, value in said.items() if value}


async def set_health(desk: Desk, visit: Visit) -> Reply:
    said: dict[str, Any] = {"oldest_agent": visit.said("oldest_agent").strip()}
    if visit.said("waiting_h"):
        said["waiting_h"] = visit.said("waiting_h")
    try:
        await desk.ask(visit, "settings.set-health", **said)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return see_other("/settings?done=health")


async def set_proxy(desk: Desk, visit: Visit) -> Reply:
    said: dict[str, Any] = {"address": visit.said("address").strip()}
    if said["address"]:
        said["direct"] = visit.said("direct").replace(",", " ").split()
    try:
        await desk.ask(visit, "settings.set-agents-proxy", **said)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return see_other("/settings?done=agents")


async def _shown(desk: Desk, visit: Visit, *, error: PatchtideError | None = None) -> Reply:
    targets = await desk.ask(visit, "settings.targets")
    by_collection: Any = ()
    if may_name(visit.principal) and desk.may_read_everywhere(visit, Kind.MACHINES):
        by_collection = (await desk.ask(visit, "settings.collection-agents")).items
    return desk.page(
        visit,
        "settings.html",
        status=200 if error is None else desk.status_of(error),
        targets=targets.items,
        agents=await desk.ask(visit, "settings.agents"),
        by_collection=by_collection,
        health=await desk.ask(visit, "settings.health"),
        nothing_said=NO_ANCHOR,
        collections=await collection_names(desk, visit),
        error=error,
    )
