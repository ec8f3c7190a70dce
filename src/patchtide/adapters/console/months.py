"""The calendar of a collection or of a machine: a month, what comes next as a file, the feed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from types import MappingProxyType
from typing import Any
from uuid import UUID

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.listing import exported
from patchtide.adapters.console.replies import Reply, download
from patchtide.adapters.console.visits import Visit
from patchtide.domain.errors import NotFound
from patchtide.server.calendar_feed import MEDIA_TYPE
from patchtide.server.calendar_month import CalendarMonth, beside
from patchtide.server.openings import Opening

_FEEDS = {"collection": "windows.feed", "machine": "windows.feed-machine"}
DAYS = 366
"""So far ahead a file of openings goes."""


async def of_collection(desk: Desk, visit: Visit) -> Reply:
    return await _calendar(desk, visit, "collection")


async def of_machine(desk: Desk, visit: Visit) -> Reply:
    return await _calendar(desk, visit, "machine")


async def _calendar(desk: Desk, visit: Visit, kind: str) -> Reply:
    about = {kind: _id(visit.parameters[kind])}
    match visit.query.get("format", ""):
        case "ics":
            feed = await desk.ask(visit, _FEEDS[kind], **about)
            return download(feed, kind=MEDIA_TYPE, name="windows.ics")
        case "csv" | "json" as form:
            found = await desk.ask(visit, "windows.openings", days=DAYS, **about)
            return exported("openings", found.items, CELLS, form)
    shown: CalendarMonth = await desk.ask(
        visit, "windows.month", month=visit.query.get("month", ""), **about
    )
    before, after = beside(shown.month)
    return desk.page(
        visit,
        "month.html",
        shown=shown,
        month=date.fromisoformat(f"{shown.month}-01"),
        before=before,
        after=after,
        kind=kind,
        back=visit.path.removesuffix("/calendar"),
        server=f"https://{visit.headers.get('host', '')}",
    )


def _id(text: str) -> UUID:
    """Raises NotFound."""
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound from error


CELLS: Mapping[str, Callable[[Opening], Any]] = MappingProxyType(
    {
        "begins": lambda one: one.begins,
        "ends": lambda one: one.ends,
        "local_begins": lambda one: one.local_begins,
        "local_ends": lambda one: one.local_ends,
        "minutes": lambda one: one.minutes,
    }
)
