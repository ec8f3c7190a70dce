"""Saved searches: the folders beside the list of updates, and the page that keeps them in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from urllib.parse import urlencode

from patchtide.adapters.console.bulk import Act, Rows, carry_out_named, no_such_act
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.trail import names_of
from patchtide.adapters.console.visits import Visit
from patchtide.domain.errors import PatchtideError
from patchtide.server.saved_searches import ShownSearch

SEARCHES = Rows(field="name", form="/searches/act", noun="search", plural="searches")
SHARED = "shared"
DELETIONS: Mapping[str, Act] = MappingProxyType(
    {
        "delete-shared": Act(
            operation="searches.delete",
            label="Delete",
            done="deleted",
            asks_first="It is gone for everybody on the site; the updates stay what they are.",
            right="catalog.modify",
        ),
        "delete-own": Act(operation="searches.discard", label="Delete", done="deleted"),
    }
)
_MOVES = {"rename-shared": "searches.rename", "rename-own": "searches.rename-own"}


async def folders(desk: Desk, visit: Visit) -> Sequence[ShownSearch]:
    found: Sequence[ShownSearch] = (await desk.ask(visit, "searches.list")).items
    return found


async def page(desk: Desk, visit: Visit) -> Reply:
    return await _shown(desk, visit)


async def new(desk: Desk, visit: Visit) -> Reply:
    typed, query = {"name": "", "whose": ""}, visit.query.get("q", "")
    return desk.page(visit, "new_search.html", query=query, error=None, typed=typed)


async def save(desk: Desk, visit: Visit) -> Reply:
    name, query, whose = visit.said("name").strip(), visit.said("query"), visit.said("whose")
    operation = "searches.save" if whose == SHARED else "searches.keep"
    try:
        saved: ShownSearch = await desk.ask(visit, operation, name=name, query=query)
    except PatchtideError as error:
        typed = {"name": name, "whose": whose}
        status = desk.status_of(error)
        return desk.page(
            visit, "new_search.html", status=status, query=query, error=error, typed=typed
        )
    return see_other(f"/updates?{urlencode({'q': saved.query, 'done': 'saved-1'})}")


async def act(desk: Desk, visit: Visit) -> Reply:
    doing, name = visit.said("act"), visit.said("name")
    if doing in DELETIONS:
        return await carry_out_named(desk, visit, SEARCHES, DELETIONS, back="/searches")
    try:
        if doing == "share":
            await desk.ask(visit, "searches.share", name=name)
        elif doing in _MOVES:
            await desk.ask(visit, _MOVES[doing], name=name, to=visit.said("to").strip())
        else:
            raise no_such_act(SEARCHES.plural)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    done = "share" if doing == "share" else "rename-search"
    return see_other(f"/searches?done={done}-1")


async def _shown(desk: Desk, visit: Visit, *, error: PatchtideError | None = None) -> Reply:
    return desk.page(
        visit,
        "searches.html",
        status=200 if error is None else desk.status_of(error),
        searches=await folders(desk, visit),
        names=await names_of(desk, visit),
        error=error,
    )
