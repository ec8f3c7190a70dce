"""The collections of the site: what forms offer to choose from, and the one of an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.rights import Kind
from patchtide.domain.errors import NotFound
from patchtide.server.collection_checks import readable
from patchtide.server.collection_view import Collection, NamedCollection, names_of_all
from patchtide.server.fleet_view import View


async def collected(desk: Desk, visit: Visit) -> Sequence[NamedCollection]:
    """Return the collections in the order of their names; to whoever may not read them none."""
    if not desk.may_read(visit, Kind.COLLECTIONS):
        return ()
    fleet = desk.context.fleet

    def question(view: View) -> Sequence[NamedCollection]:
        mine = readable(visit.principal, view)
        return [one for one in names_of_all(view) if one.id in mine]

    return await desk.of_fleet(lambda: fleet.ask(question))


async def collection_names(desk: Desk, visit: Visit) -> Mapping[str, str]:
    """Return id -> name, in the same order."""
    return {str(one.id): one.name for one in await collected(desk, visit)}


async def list_names(desk: Desk, visit: Visit) -> Sequence[str]:
    """Return what the update lists are called that the visitor may read."""
    if not desk.may_read_updates(visit):
        return ()
    return [one.name for one in (await desk.ask(visit, "lists.list")).items]


async def collection_at(desk: Desk, visit: Visit) -> Collection:
    """Return the collection that the address names.

    Raises:
        NotFound: there is none.
    """
    try:
        uuid = UUID(visit.parameters["collection"])
    except ValueError as error:
        raise NotFound from error
    found: Collection = await desk.ask(visit, "collections.show", collection=uuid)
    return found
