"""The first page: where the fleet stands, what is missing most, what wants somebody's hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from patchtide.adapters.console import machine_rows
from patchtide.adapters.console.charts import Chart, drawn
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.trail import Entry, newest
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.rights import Kind
from patchtide.domain.errors import Refused
from patchtide.server.history import History

BEHIND = 8
NEWEST = 7
DAYS = 30


async def overview(desk: Desk, visit: Visit) -> Reply:
    if not desk.may_read(visit, Kind.MACHINES):
        return desk.page(visit, "nothing_to_see.html")
    found, behind, entries, raised, days = await asyncio.gather(
        desk.ask(visit, "overview"),
        machine_rows.most_behind(desk, limit=BEHIND),
        _entries(desk, visit),
        _raised(desk, visit),
        _days(desk, visit),
    )
    return desk.page(
        visit,
        "overview.html",
        found=found,
        behind=behind,
        entries=entries,
        raised=raised,
        days=days,
    )


async def _entries(desk: Desk, visit: Visit) -> Sequence[Entry]:
    if not desk.may_read(visit, Kind.AUDIT):
        return ()
    return await newest(desk, visit, limit=NEWEST)


async def _raised(desk: Desk, visit: Visit) -> int:
    told_of = (Kind.ALERTS, Kind.MACHINES, Kind.CATALOG)
    if not all(desk.may_read_everywhere(visit, kind) for kind in told_of):
        return 0
    return len((await desk.ask(visit, "alerts.list")).raised)


async def _days(desk: Desk, visit: Visit) -> Chart | None:
    """Return the last days in small, once there are some that were counted."""
    if not desk.may_read(visit, Kind.CATALOG):
        return None
    try:
        told: History = await desk.ask(visit, "history.show", days=DAYS)
    except Refused:  # days are counted over all machines, and this visitor has some
        return None
    counted = [day for day in told.items if day.counted_at is not None]
    return drawn(told.items, changes={}) if len(counted) > 1 else None


async def live(desk: Desk, visit: Visit) -> Reply:
    """Say by a word whether anything has moved, so that a page fetches itself only then."""
    version = await desk.pulse.word()
    return Reply(body=msgspec.json.encode({"version": version}), kind="application/json")
