"""What forms offer to choose from: the collections of the site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.rights import Kind
from patchtide.server.collection_view import NamedCollection, names_of_all


async def collected(desk: Desk, visit: Visit) -> Sequence[NamedCollection]:
    """Return the collections in the order of their names; to whoever may not read them none."""
    if not desk.may_read(visit, Kind.COLLECTIONS):
        return ()
    fleet = desk.context.fleet
    found: Sequence[NamedCollection] = await desk.of_fleet(lambda: fleet.ask(names_of_all))
    return found


async def collection_names(desk: Desk, visit: Visit) -> Mapping[str, str]:
    """Return id -> name, in the same order."""
    return {str(one.id): one.name for one in await collected(desk, visit)}
