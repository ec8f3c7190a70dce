"""Updates: the list of them, and the page of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec

from patchtide.adapters.console import machine_rows, queries, searches
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.listing import exported
from patchtide.adapters.console.machine_rows import MachineThere
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.rights import Kind
from patchtide.domain.errors import NotFound


async def updates(desk: Desk, visit: Visit) -> Reply:
    if address := await queries.rewritten(desk, visit):
        return see_other(address)
    listed, folders = await asyncio.gather(
        queries.listed(desk, visit), searches.folders(desk, visit)
    )
    if kind := visit.query.get("format"):
        return await asyncio.to_thread(queries.export, listed, kind, name="updates")
    return desk.page(
        visit,
        "updates.html",
        listed=listed,
        asked=listed.asked,
        query_examples=queries.EXAMPLES,
        folders=folders,
    )


async def completions(desk: Desk, visit: Visit) -> Reply:
    said = {name: visit.query[name] for name in ("text", "position") if visit.query.get(name)}
    found = await desk.ask(visit, "searches.complete", **said)
    return Reply(body=msgspec.json.encode(found), kind="application/json")


async def update(desk: Desk, visit: Visit) -> Reply:
    # Who may read the catalog alone is not told which machines there are.
    sees_machines = desk.may_read(visit, Kind.MACHINES)
    tab = visit.query.get("tab", "machines" if sees_machines else "about")
    uuid = update_id(visit)
    if tab in ("rules", "about"):
        return desk.page(visit, "update.html", found=await _shown(desk, visit, uuid), tab=tab)
    if tab != "machines" or not sees_machines:
        raise NotFound
    listed, found = await asyncio.gather(
        machine_rows.on_update(desk, visit, uuid), _shown(desk, visit, uuid)
    )
    if kind := visit.query.get("format"):
        return await asyncio.to_thread(exported, "machines-of-update", listed.rows, CELLS, kind)
    return desk.page(visit, "update.html", found=found, tab=tab, listed=listed, asked=listed.asked)


async def rate(desk: Desk, visit: Visit) -> Reply:
    uuid = update_id(visit)
    if visit.said("withdraw"):
        await desk.ask(visit, "updates.rate", update=uuid, withdraw=True)
        return see_other(f"/updates/{uuid}?tab=about&done=unrate-1")
    await desk.ask(
        visit,
        "updates.rate",
        update=uuid,
        exploited=visit.said("exploited") == "yes",
        mitigated=visit.said("mitigated") == "yes",
        reach=visit.said("reach"),
        note=visit.said("note"),
    )
    return see_other(f"/updates/{uuid}?tab=about&done=rate-1")


async def accept_licence(desk: Desk, visit: Visit) -> Reply:
    uuid = update_id(visit)
    await desk.ask(visit, "updates.accept-licence", update=uuid, sha256=visit.said("sha256"))
    return see_other(f"/updates/{uuid}?tab=about&done=accept-1")


async def _shown(desk: Desk, visit: Visit, uuid: UUID) -> Any:
    return await desk.ask(visit, "updates.show", update=uuid)


def update_id(visit: Visit) -> UUID:
    try:
        return UUID(visit.parameters["update"])
    except ValueError as error:
        raise NotFound from error


CELLS: Mapping[str, Callable[[MachineThere], Any]] = MappingProxyType(
    {
        "id": lambda s: str(s.machine.id),
        "name": lambda s: s.machine.name,
        "state": lambda s: s.state,
        "platform": lambda s: s.machine.platform,
        "group": lambda s: s.machine.group,
        "restart_pending": lambda s: s.machine.restart_pending,
        "reported_at": lambda s: s.machine.reported_at,
    }
)
