"""Catalogs carried in files: what was taken in, whose files are believed, and a file made here.

The files themselves go by the command line: they have gigabytes, and it goes on where it was.
"""

from __future__ import annotations

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.trail import names_of
from patchtide.adapters.console.visits import Visit
from patchtide.domain.errors import PatchtideError
from patchtide.server.catalog_exchange import ExporterList, ShownExport
from patchtide.server.catalog_import import IMPORTED
from patchtide.server.synchronisations import SynchronisationList

PLACE = "/synchronisations/files"
_LOOKED_AT = 200


async def page(desk: Desk, visit: Visit) -> Reply:
    return await _shown(desk, visit)


async def export(desk: Desk, visit: Visit) -> Reply:
    """Show what was made at once; the same catalog makes the same file again."""
    without = visit.said("without_content") == "yes"
    try:
        made = await desk.ask(visit, "catalog.make-export", without_content=without)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return await _shown(desk, visit, made=made)


async def trust(desk: Desk, visit: Visit) -> Reply:
    name, root = visit.said("name").strip(), visit.said("root").strip().lower()
    try:
        await desk.ask(visit, "catalog.trust-exporter", name=name, root=root)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error, typed={"name": name, "root": root})
    return see_other(PLACE)


async def distrust(desk: Desk, visit: Visit) -> Reply:
    try:
        await desk.ask(visit, "catalog.distrust-exporter", name=visit.said("name"))
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return see_other(PLACE)


async def _shown(
    desk: Desk,
    visit: Visit,
    *,
    error: PatchtideError | None = None,
    made: ShownExport | None = None,
    typed: dict[str, str] | None = None,
) -> Reply:
    known: ExporterList = await desk.ask(visit, "catalog.exporters")
    runs: SynchronisationList = await desk.ask(
        visit, "catalog.synchronisations", limit=_LOOKED_AT, before=0
    )
    return desk.page(
        visit,
        "carried.html",
        status=200 if error is None else desk.status_of(error),
        exporters=known.items,
        imports=[run for run in runs.items if run.feeds == (IMPORTED,)],
        names=await names_of(desk, visit),
        made=made,
        typed=typed or {"name": "", "root": ""},
        error=error,
    )
