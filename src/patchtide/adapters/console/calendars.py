"""A collection's maintenance windows and freezes: what its page shows, and the forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from patchtide.adapters.console.bulk import Act, Chosen, Rows, carry_out
from patchtide.adapters.console.choices import collection_at
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.visits import Visit
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.errors import NotFound, PatchtideError
from patchtide.server.business_hours import ShownHours
from patchtide.server.collection_view import Collection
from patchtide.server.freezes import ShownFreeze
from patchtide.server.openings import Opening, Previewed
from patchtide.server.synchronisation_plan import DAYS
from patchtide.server.windows import ShownWindow

NEXT = 5
_DELETE_WINDOW = Act(
    operation="windows.delete",
    label="Delete",
    done="deleted",
    asks_first="Machines that have no other window may be changed at any time from then on.",
)
_DELETE_FREEZE = Act(
    operation="freezes.delete",
    label="Delete",
    done="deleted",
    asks_first="Windows hold again at once: if one is open, machines may be changed.",
)
_WINDOW: Mapping[str, Any] = {
    "name": "",
    "comes": "cycle",
    "at": "22:00",
    "length_min": 240,
    "every": 1,
    "day": 1,
    "nth": "first",
    "weekday": "saturday",
    "cycle": "patch-tuesday",
    "days_after": 3,
    "since": "",
    "until": "",
    "clock": "machine",
    "covers": "everything",
}
"""As the form begins; the days of the week come besides."""
_FREEZE: Mapping[str, str] = {"begins": "", "ends": "", "reason": "", "clock": "machine"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """All that says when a collection's machines may be changed."""

    windows: Sequence[ShownWindow]
    """Its own, and those of all machines, which are in it."""
    freezes: Sequence[ShownFreeze]
    openings: Sequence[Opening]
    zone: str
    hours: Sequence[ShownHours]
    now: datetime


async def of_collection(desk: Desk, visit: Visit, collection: UUID) -> Calendar:
    windows: list[ShownWindow] = []
    freezes: list[ShownFreeze] = []
    for one in dict.fromkeys((collection, ALL_MACHINES)):
        windows += (await desk.ask(visit, "windows.list", collection=one)).items
        freezes += (await desk.ask(visit, "freezes.list", collection=one)).items
    opens = await desk.ask(visit, "windows.openings", collection=collection)
    hours = (await desk.ask(visit, "hours.list")).items
    own = [one for one in hours if one.collection == collection]
    return Calendar(
        windows=windows,
        freezes=sorted(freezes, key=lambda one: (one.is_over, not one.is_on, one.begins)),
        openings=opens.items[:NEXT],
        zone=opens.zone,
        hours=own or [one for one in hours if one.collection is None and not one.location],
        now=desk.context.clock.now(),
    )


async def window(desk: Desk, visit: Visit) -> Reply:
    """The form of a new one, or of the one that the query names, as it would open."""
    of = await collection_at(desk, visit)
    said = _of_query(visit) if "comes" in visit.query else None
    found = await _held(desk, visit, "windows.list", of, visit.query.get("window", ""))
    if said is None and found is not None:
        said = {**msgspec.to_builtins(found.says), "name": found.name}
    return await _window_form(desk, visit, of, said or {**_WINDOW, "on": ("saturday",)}, found)


async def save_window(desk: Desk, visit: Visit) -> Reply:
    of = await collection_at(desk, visit)
    found = await _held(desk, visit, "windows.list", of, visit.said("window"))
    if visit.said("act") == "delete-window" and found is not None:
        kind = Rows(field="window", form=f"{_here(of)}/window", noun="window", plural="windows")
        chosen = [Chosen(id=str(found.id), name=f"{found.name}: {found.words}")]
        return await carry_out(
            desk, visit, kind, "delete-window", _DELETE_WINDOW, chosen, back=_here(of)
        )
    said = {name: visit.said(name).strip() for name in _WINDOW} | {"on": visit.form.get("on", ())}
    if visit.said("act") == "preview":
        return await _window_form(desk, visit, of, said, found)
    given = _given(said)
    try:
        if found is None:
            await desk.ask(visit, "windows.create", collection=of.id, **given)
        else:
            await desk.ask(visit, "windows.change", window=found.id, **given)
    except PatchtideError as error:
        return await _window_form(desk, visit, of, said, found, error=error)
    return see_other(f"{_here(of)}?done={'change' if found else 'make'}-window-1#windows")


async def freeze(desk: Desk, visit: Visit) -> Reply:
    of = await collection_at(desk, visit)
    found = await _held(desk, visit, "freezes.list", of, visit.query.get("freeze", ""))
    said = {name: getattr(found, name) for name in _FREEZE} if found else _FREEZE
    return _freeze_form(desk, visit, of, said, found)


async def save_freeze(desk: Desk, visit: Visit) -> Reply:
    of = await collection_at(desk, visit)
    found = await _held(desk, visit, "freezes.list", of, visit.said("freeze"))
    if visit.said("act") == "delete-freeze" and found is not None:
        kind = Rows(field="freeze", form=f"{_here(of)}/freeze", noun="freeze", plural="freezes")
        chosen = [Chosen(id=str(found.id), name=found.words)]
        return await carry_out(
            desk, visit, kind, "delete-freeze", _DELETE_FREEZE, chosen, back=_here(of)
        )
    said = {name: visit.said(name).strip() for name in _FREEZE}
    given = {**said, "begins": _moment(said["begins"]), "ends": _moment(said["ends"])}
    try:
        if found is None:
            await desk.ask(visit, "freezes.create", collection=of.id, **given)
        else:
            await desk.ask(visit, "freezes.change", freeze=found.id, **given)
    except PatchtideError as error:
        return _freeze_form(desk, visit, of, said, found, error=error)
    return see_other(f"{_here(of)}?done={'change' if found else 'make'}-freeze-1#windows")


async def _window_form(
    desk: Desk,
    visit: Visit,
    of: Collection,
    typed: Mapping[str, Any],
    found: ShownWindow | None,
    *,
    error: PatchtideError | None = None,
) -> Reply:
    preview, mistake = await _preview(desk, visit, typed)
    return desk.page(
        visit,
        "window_form.html",
        status=200 if error is None else desk.status_of(error),
        of=of,
        here=_here(of),
        typed=typed,
        days=DAYS,
        found=found,
        preview=preview,
        mistake=mistake,
        error=error,
    )


async def _preview(
    desk: Desk, visit: Visit, typed: Mapping[str, Any]
) -> tuple[Previewed | None, PatchtideError | None]:
    given = {name: value for name, value in _given(typed).items() if name != "name"}
    try:
        return await desk.ask(visit, "windows.preview", **given), None
    except PatchtideError as error:
        return None, error


def _freeze_form(
    desk: Desk,
    visit: Visit,
    of: Collection,
    typed: Mapping[str, Any],
    found: ShownFreeze | None,
    *,
    error: PatchtideError | None = None,
) -> Reply:
    return desk.page(
        visit,
        "freeze_form.html",
        status=200 if error is None else desk.status_of(error),
        of=of,
        here=_here(of),
        typed=typed,
        found=found,
        error=error,
    )


def _of_query(visit: Visit) -> dict[str, Any]:
    """Return what stands in the form while somebody types."""
    days = [value for name, value in parse_qsl(visit.raw_query) if name == "on"]
    return {name: visit.query.get(name, "").strip() for name in _WINDOW} | {"on": days}


def _given(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is not left empty: of the rest, windows are as they begin."""
    return {name: value for name, value in typed.items() if value not in ("", (), [])}


def _moment(text: str) -> str:
    """Browsers put a letter between the day and the time."""
    return text.replace("T", " ")


async def _held(desk: Desk, visit: Visit, operation: str, of: Collection, id: str) -> Any:
    """Return the window or the freeze of the collection that is meant; nothing: a new one.

    Raises:
        NotFound: there is none of that id.
    """
    if not id:
        return None
    items = (await desk.ask(visit, operation, collection=of.id)).items
    found = next((one for one in items if str(one.id) == id), None)
    if found is None:
        raise NotFound
    return found


def _here(of: Collection) -> str:
    return f"/collections/{of.id}"
