"""Collections of machines: all of them, the page of one, and the form that defines one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from patchtide.adapters.console import calendars, machine_rows
from patchtide.adapters.console.bulk import Act, Chosen, Rows, carry_out, ids_of, no_such_act
from patchtide.adapters.console.choices import collected, collection_at
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.listing import Shape, exported
from patchtide.adapters.console.machine_cells import CELLS
from patchtide.adapters.console.replies import Reply, see_done, see_other
from patchtide.adapters.console.trail import entries_of, names_of
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.rights import Kind
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.collections.definitions import ALL_MACHINES, ALL_MACHINES_NAME
from patchtide.domain.errors import (
    NotFound,
    PatchtideError,
    Refused,
    Unavailable,
)
from patchtide.server.collection_checks import may_ask
from patchtide.server.collection_view import Collection, NamedCollection
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View

KIND = Rows(field="collection", form="/collections/act", noun="collection", plural="collections")
DELETE = Act(
    operation="collections.delete",
    label="Delete",
    done="deleted",
    asks_first="Its machines stay what they are. What another collection, or anything else, uses"
    " is not deleted.",
    right="collections.delete",
)
SAMPLE, NEWEST = 8, 20
_UNASKED: Mapping[str, Any] = {"total": None, "names": (), "error": None}
_UNTYPED: Mapping[str, Any] = {
    **dict.fromkeys(("name", "description", "query", "limiting", "names"), ""),
    **dict.fromkeys(("include", "exclude"), ()),
    "revision": 0,
    "tier_zero": False,
}
_TEXTS, _SETS = ("name", "description", "query"), ("include", "exclude")


async def page(desk: Desk, visit: Visit) -> Reply:
    found = await desk.ask(visit, "collections.list", limit=500)
    items = list(found.items)
    while found.next:
        found = await desk.ask(visit, "collections.list", limit=500, after=found.next)
        items += found.items
    asked = SHAPE.asked("/collections", visit.query)
    if kind := visit.query.get("format"):
        return SHAPE.export(items, asked, kind)
    listed = SHAPE.page(items, asked)
    return desk.page(visit, "collections.html", listed=listed, asked=asked, has_own=len(items) > 1)


async def new(desk: Desk, visit: Visit) -> Reply:
    return await _form(desk, visit, {"query": visit.query.get("q", "")})


async def create(desk: Desk, visit: Visit) -> Reply:
    said = _said(visit)
    names = visit.lines("names")
    given = {name: value for name, value in said.items() if value}
    try:
        made = await desk.ask(visit, "collections.create", **given, names=names)
    except PatchtideError as error:
        return await _form(desk, visit, {**said, "names": visit.said("names")}, error=error)
    return see_other(f"{address(made.id)}?done=make-collection-1")


async def edit(desk: Desk, visit: Visit) -> Reply:
    found = await collection_at(desk, visit)
    typed = {
        "name": found.name,
        "description": found.description,
        "query": found.query,
        "limiting": str(found.limiting.id) if found.limiting else "",
        "tier_zero": found.is_tier_zero,
        "include": [str(one.id) for one in found.include],
        "exclude": [str(one.id) for one in found.exclude],
        "revision": found.revision,
    }
    return await _form(desk, visit, typed, of=found)


async def change(desk: Desk, visit: Visit) -> Reply:
    found = await collection_at(desk, visit)
    said = _said(visit)
    given = {name: value for name, value in said.items() if value}
    forget = [name for name, value in said.items() if not value and name != "name"]
    revision = visit.said("revision") or "0"
    try:
        await desk.ask(
            visit,
            "collections.change",
            collection=found.id,
            revision=int(revision) if revision.isdecimal() else 0,
            forget=forget,
            **given,
        )
    except PatchtideError as error:
        return await _form(desk, visit, {**said, "revision": revision}, of=found, error=error)
    return see_other(f"{address(found.id)}?done=change-collection-1")


def _said(visit: Visit) -> dict[str, Any]:
    said: dict[str, Any] = {name: visit.said(name).strip() for name in (*_TEXTS, "limiting")}
    if said["limiting"] == str(ALL_MACHINES):
        said["limiting"] = ""
    return said | {
        **{name: list(visit.form.get(name, ())) for name in _SETS},
        "tier_zero": bool(visit.said("tier_zero")),
    }


async def _form(
    desk: Desk,
    visit: Visit,
    typed: Mapping[str, Any],
    *,
    of: Collection | None = None,
    error: PatchtideError | None = None,
) -> Reply:
    known = await collected(desk, visit)
    everybody = NamedCollection(id=ALL_MACHINES, name=ALL_MACHINES_NAME)
    return desk.page(
        visit,
        "collection_form.html",
        status=200 if error is None else desk.status_of(error),
        of=of,
        typed={**_UNTYPED, **typed},
        others=[everybody, *(one for one in known if of is None or one.id != of.id)],
        error=error,
        sample=await _sample(desk, visit, str(typed.get("query", ""))),
    )


async def sample(desk: Desk, visit: Visit) -> Reply:
    """Say how many machines answer to a query, and which are among them, while it is written."""
    found = await _sample(desk, visit, visit.query.get("query", ""))
    return desk.page(visit, "collection_sample.html", sample=found)


async def _sample(desk: Desk, visit: Visit, text: str) -> Mapping[str, Any]:
    fleet, text = desk.context.fleet, text.strip()[:4096]

    def question(view: View) -> Mapping[str, Any]:
        found = fleet.collections.answering(view, text, among=view.present)
        first = list(fleet.machines.orders(view).all("name", among=found))[:SAMPLE]
        return {
            **_UNASKED,
            "total": len(found),
            "names": [view.members[n].client.name for n in first],
        }

    if not text or not desk.may_read(visit, Kind.MACHINES):
        return _UNASKED
    try:
        may_ask(visit.principal, None, text)
        return await desk.of_fleet(lambda: _asked(fleet, question))
    except (InvalidQuery, NotFound, Refused, Unavailable) as error:
        return {**_UNASKED, "error": error}


def _asked(fleet: Fleet, question: Callable[[View], Mapping[str, Any]]) -> Mapping[str, Any]:
    fleet.follow_facts()
    return fleet.ask(question)


async def one(desk: Desk, visit: Visit) -> Reply:
    return await _one(desk, visit)


async def _one(desk: Desk, visit: Visit, *, error: PatchtideError | None = None) -> Reply:
    found = await collection_at(desk, visit)
    listed = await machine_rows.machines(desk, visit, within=found.id)
    if kind := visit.query.get("format"):
        return await asyncio.to_thread(exported, "members", listed.rows, CELLS, kind)
    return desk.page(
        visit,
        "collection.html",
        status=200 if error is None else desk.status_of(error),
        found=found,
        here=address(found.id),
        listed=listed,
        asked=listed.asked,
        entries=await _entries(desk, visit, found.id),
        calendar=await calendars.of_collection(desk, visit, found.id),
        error=error,
        typed={"names": visit.said("names") if error else ""},
    )


async def _entries(desk: Desk, visit: Visit, collection: UUID) -> Sequence[Any]:
    if not desk.may_read(visit, Kind.AUDIT):
        return ()
    store = desk.context.fleet.store
    told = await asyncio.to_thread(partial(store.audit_of, collection.hex, limit=NEWEST))
    return entries_of(told, await names_of(desk, visit))


CALLS = {"scan": "collections.scan", "policy": "collections.get-policy"}


async def act(desk: Desk, visit: Visit) -> Reply:
    found, doing = await collection_at(desk, visit), visit.said("act")
    here = address(found.id)
    if doing == "delete-collection":
        kind = Rows(field="collection", form=f"{here}/act", noun="collection", plural="collections")
        chosen = [Chosen(id=str(found.id), name=found.name)]
        return await carry_out(desk, visit, kind, doing, DELETE, chosen, back="/collections")
    lines = visit.lines("names")
    try:
        if doing == "put-in":
            done = await desk.ask(visit, "collections.add", collection=found.id, names=lines)
            return see_other(f"{here}?done=collected-{done.changed}")
        if doing in CALLS:
            done = await desk.ask(visit, CALLS[doing], collection=found.id)
            return see_other(f"{here}?done={doing}-{done.machines}")
        if doing != "take-out":
            raise no_such_act("collections")
        chosen_ids = ids_of(visit, "machine")
        done = await desk.ask(visit, "collections.remove", collection=found.id, names=chosen_ids)
    except PatchtideError as error:
        return await _one(desk, visit, error=error)
    return see_done(visit.back(otherwise=here), f"uncollected-{done.changed}")


def address(collection: UUID) -> str:
    return f"/collections/{collection}"


SHAPE: Shape[Collection] = Shape(
    name="collections",
    text=lambda one: f"{one.name} {one.description} {one.query}",
    sorts={
        "name": lambda one: one.name.casefold(),
        "machines": lambda one: one.machines,
        "compliant": lambda one: 101.0 if one.compliant_percent is None else one.compliant_percent,
        "changed": lambda one: one.changed_at.timestamp() if one.changed_at else 0.0,
    },
    sort="name",
    filters={},
    cells={
        "id": lambda one: str(one.id),
        "name": lambda one: one.name,
        "description": lambda one: one.description,
        "query": lambda one: one.query,
        "machines": lambda one: one.machines,
        "active": lambda one: one.active,
        "compliant": lambda one: one.compliant,
        "required": lambda one: one.required,
        "restart": lambda one: one.restart,
        "unknown": lambda one: one.unknown,
        "compliant_percent": lambda one: one.compliant_percent,
    },
)
