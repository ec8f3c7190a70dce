"""Update lists: all of them, the page of one, and how updates come onto one and off it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from patchtide.adapters.console import queries
from patchtide.adapters.console.bulk import Act, Chosen, Rows, carry_out, ids_of, no_such_act
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.listing import Shape
from patchtide.adapters.console.replies import Reply, see_done, see_other
from patchtide.adapters.console.trail import names_of
from patchtide.adapters.console.visits import Visit
from patchtide.domain.errors import NotFound, PatchtideError
from patchtide.server.fleet_view import View
from patchtide.server.update_lists import MOST, ShownList, shown_list

UPDATE = "update"
DELETE = Act(
    operation="lists.delete",
    label="Delete",
    done="deleted",
    asks_first="The updates on it stay what they are. Expired ones that no other list holds are"
    " removed when they have had their days.",
    right="catalog.modify",
)


async def page(desk: Desk, visit: Visit) -> Reply:
    found = await desk.ask(visit, "lists.list")
    asked = SHAPE.asked("/lists", visit.query)
    if kind := visit.query.get("format"):
        return SHAPE.export(found.items, asked, kind)
    listed = SHAPE.page(found.items, asked)
    return desk.page(
        visit, "lists.html", listed=listed, asked=asked, names=await names_of(desk, visit)
    )


async def new(desk: Desk, visit: Visit) -> Reply:
    return await _form(desk, visit, query=visit.query.get("q", ""))


async def create(desk: Desk, visit: Visit) -> Reply:
    said: dict[str, Any] = {name: visit.said(name).strip() for name in ("name", "note", "query")}
    updates = ids_of(visit, UPDATE)
    try:
        await desk.ask(visit, "lists.create", **said, updates=updates)
    except PatchtideError as error:
        return await _form(desk, visit, query=said["query"], updates=updates, error=error)
    return see_other(f"{address(said['name'])}?done=make-list-1")


async def choose(desk: Desk, visit: Visit) -> Reply:
    """Ask onto which list the chosen updates are to go; when that is said, put them there."""
    updates, name = ids_of(visit, UPDATE), visit.said("list")
    if not updates or not name:
        return await _form(desk, visit, updates=updates)
    try:
        changed = await desk.ask(visit, "lists.add", name=name, updates=updates)
    except PatchtideError as error:
        return await _form(desk, visit, updates=updates, error=error)
    return see_other(f"{address(name)}?done=listed-{changed.changed}")


async def _form(
    desk: Desk,
    visit: Visit,
    *,
    query: str = "",
    updates: Sequence[str] = (),
    error: PatchtideError | None = None,
) -> Reply:
    found = None
    if query and not updates and error is None:
        found = await queries.found(desk, query)
    known = (await desk.ask(visit, "lists.list")).items
    return desk.page(
        visit,
        "new_list.html",
        status=200 if error is None else desk.status_of(error),
        query=query,
        updates=updates,
        found=found,
        most=MOST,
        lists=known,
        back=visit.back(otherwise="/updates"),
        error=error,
        typed={name: visit.said(name) for name in ("name", "note")},
    )


async def one(desk: Desk, visit: Visit) -> Reply:
    return await _one(desk, visit)


async def _one(desk: Desk, visit: Visit, *, error: PatchtideError | None = None) -> Reply:
    name, fleet = visit.parameters["list"], desk.context.fleet

    def question(view: View) -> ShownList:
        if name not in view.lists:
            raise NotFound
        return shown_list(fleet.updates, view, view.lists[name])

    found = await desk.of_fleet(lambda: fleet.ask(question))
    if error is None and (elsewhere := await queries.rewritten(desk, visit)):
        return see_other(elsewhere)
    listed = await queries.listed(desk, visit, path=address(name), on=name)
    if kind := visit.query.get("format"):
        return await asyncio.to_thread(queries.export, listed, kind, name=f"list-{name}")
    return desk.page(
        visit,
        "list.html",
        status=200 if error is None else desk.status_of(error),
        found=found,
        here=address(name),
        listed=listed,
        asked=listed.asked,
        names=await names_of(desk, visit),
        query_examples=queries.EXAMPLES,
        error=error,
    )


async def act(desk: Desk, visit: Visit) -> Reply:
    name, doing = visit.parameters["list"], visit.said("act")
    if doing == "delete-list":
        kind = Rows(field="name", form=f"{address(name)}/act", noun="list", plural="lists")
        chosen = [Chosen(id=name, name=name)]
        return await carry_out(desk, visit, kind, doing, DELETE, chosen, back="/lists")
    try:
        if doing == "rename":
            to = visit.said("to").strip()
            await desk.ask(visit, "lists.rename", name=name, to=to)
            return see_other(f"{address(to)}?done=rename-list-1")
        if doing == "scan":
            asked = await desk.ask(visit, "lists.scan", name=name)
            return see_other(f"{address(name)}?done=scan-{asked.machines}")
        if doing != "remove":
            raise no_such_act("lists")
        updates = ids_of(visit, UPDATE)
        gone = await desk.ask(visit, "lists.remove", name=name, updates=updates)
    except PatchtideError as error:
        return await _one(desk, visit, error=error)
    return see_done(visit.back(otherwise=address(name)), f"unlisted-{gone.changed}")


def address(name: str) -> str:
    return f"/lists/{quote(name, safe='')}"


SHAPE: Shape[ShownList] = Shape(
    name="lists",
    text=lambda one: f"{one.name} {one.note}",
    sorts={
        "name": lambda one: one.name,
        "size": lambda one: one.size,
        "required": lambda one: one.required,
        "made": lambda one: one.made_at,
    },
    sort="name",
    filters={},
    cells={
        "name": lambda one: one.name,
        "note": lambda one: one.note,
        "size": lambda one: one.size,
        "required": lambda one: one.required,
        "installed": lambda one: one.installed,
        "made_by": lambda one: one.made_by,
        "made_at": lambda one: one.made_at,
    },
)
