"""Machines as a file: what it would change is shown first, and done when somebody says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from patchtide.adapters.console.choices import collection_names
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.visits import Visit
from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem
from patchtide.server.machine_csv import COLUMNS, LINES
from patchtide.server.machine_descriptions import ChangedMachine
from patchtide.server.machine_import import LARGEST, ImportedMachines

SHOWN = 100
"""So many changes; whoever wants all of them asks on the command line."""


async def page(desk: Desk, visit: Visit) -> Reply:
    return await _shown(desk, visit)


async def take(desk: Desk, visit: Visit) -> Reply:
    is_meant = visit.said("act") == "import"
    said: dict[str, Any] = {"csv": visit.said("file"), "expect": visit.said("expect") == "yes"}
    try:
        if not said["csv"]:
            raise InvalidDocument([Problem("file", "is missing: choose one")])
        said |= {"plan": visit.said("plan")} if is_meant else {"dry_run": True}
        told = await desk.ask(visit, "machines.import", **said)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    if not is_meant:
        return await _shown(desk, visit, told=told)
    done = f"/machines?done=imported-{told.changed + told.expected}"
    if visit.wants_fragment:  # else the script would look for the list on this page
        return Reply(headers=(("hx-redirect", done),))
    return see_other(done)


async def _shown(
    desk: Desk,
    visit: Visit,
    *,
    told: ImportedMachines | None = None,
    error: PatchtideError | None = None,
) -> Reply:
    is_page = error is not None and not visit.wants_fragment
    return desk.page(
        visit,
        "machine_import.html",
        status=desk.status_of(error) if is_page and error else 200,
        told=told,
        changes=await asyncio.to_thread(_of_known, told) if told else (),
        error=error,
        expect=visit.said("expect") == "yes",
        columns=COLUMNS,
        most=SHOWN,
        lines=LINES,
        largest=LARGEST,
        collections=await collection_names(desk, visit),
    )


def _of_known(told: ImportedMachines) -> Sequence[ChangedMachine]:
    """Return the changes of machines that are here already."""
    new = frozenset(told.new)
    return [change for change in told.changes if change.name not in new]
