"""When people work, and their holidays: of the site, of a location, of a collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from zoneinfo import available_timezones

from patchtide.adapters.console.choices import collection_names
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.principals import SessionHolder, holds_at
from patchtide.domain.access.rights import Right, holds
from patchtide.domain.errors import PatchtideError
from patchtide.server.business_hours import ShownHours
from patchtide.server.calendar_reach import MODIFY
from patchtide.server.said_times import SaidHours
from patchtide.server.synchronisation_plan import DAYS

HERE = "/business-hours"
_TEXTS = ("begins", "ends", "zone")


async def page(desk: Desk, visit: Visit) -> Reply:
    whose = {name: visit.query.get(name, "") for name in ("location", "collection")}
    return await _shown(desk, visit, whose)


async def save(desk: Desk, visit: Visit) -> Reply:
    whose = _whose(visit)
    about = {name: value for name, value in whose.items() if value}
    typed: dict[str, Any] = {name: visit.said(name).strip() for name in _TEXTS}
    typed["on"] = visit.form.get("on", ())
    typed["holidays"] = visit.lines("holidays")
    try:
        if visit.said("act") == "clear-hours":
            await desk.ask(visit, "hours.clear", **about)
        else:
            await desk.ask(visit, "hours.set", **about, **typed)
    except PatchtideError as error:
        return await _shown(desk, visit, whose, typed=typed, error=error)
    done = "hours-back" if visit.said("act") == "clear-hours" else "hours"
    return see_other(f"{HERE}?{urlencode({**about, 'done': done})}")


def _whose(visit: Visit) -> dict[str, str]:
    """Return whose are meant; of what stands in the form's other fields, nothing is."""
    of = visit.said("of")
    return {
        "location": visit.said("location").strip() if of == "location" else "",
        "collection": visit.said("collection") if of == "collection" else "",
    }


async def _shown(
    desk: Desk,
    visit: Visit,
    whose: Mapping[str, str],
    *,
    typed: Mapping[str, Any] | None = None,
    error: PatchtideError | None = None,
) -> Reply:
    items = (await desk.ask(visit, "hours.list")).items
    settable = await _settable(desk, visit, items)
    if settable and not holds(_rights(visit), MODIFY) and whose["collection"] not in settable:
        whose = {"location": "", "collection": next(iter(settable))}
    held = next((one for one in items if _is_of(one, whose)), None)
    says: SaidHours = held.says if held else SaidHours()
    return desk.page(
        visit,
        "hours.html",
        status=200 if error is None else desk.status_of(error),
        items=items,
        whose=whose,
        held=held if held and not held.is_default else None,
        typed=typed or {name: getattr(says, name) for name in (*_TEXTS, "on", "holidays")},
        days=DAYS,
        zones=sorted(zone for zone in available_timezones() if "/" in zone),
        collections=settable,
        error=error,
    )


async def _settable(desk: Desk, visit: Visit, items: Sequence[ShownHours]) -> Mapping[str, str]:
    """Return the collections whose hours the visitor may set: what others set stays theirs."""
    names, rights = await collection_names(desk, visit), _rights(visit)
    if holds(rights, MODIFY):
        return names
    others = {str(one.collection) for one in items if one.changed_by != visit.principal.actor}
    return {
        key: name
        for key, name in names.items()
        if key not in others and holds_at(rights, MODIFY, key)
    }


def _rights(visit: Visit) -> frozenset[Right]:
    return visit.principal.rights if isinstance(visit.principal, SessionHolder) else frozenset()


def _is_of(hours: ShownHours, whose: Mapping[str, str]) -> bool:
    of = str(hours.collection) if hours.collection else ""
    return (hours.location.casefold(), of) == (whose["location"].casefold(), whose["collection"])
