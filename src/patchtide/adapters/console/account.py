"""The visitor's own account: who she is here, what she may do, her keys and her password."""

from __future__ import annotations

from patchtide.adapters.console.choices import collection_names
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.places import elsewhere, place_of
from patchtide.domain.access.rights import role_of
from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem
from patchtide.server.api_tokens import Whoami
from patchtide.server.own_keys import KeyList


async def page(desk: Desk, visit: Visit) -> Reply:
    return await shown(desk, visit)


async def password(desk: Desk, visit: Visit) -> Reply:
    new = visit.said("new")
    try:
        if new != visit.said("again"):
            raise InvalidDocument([Problem("new password", "is not the same both times")])
        await desk.ask(visit, "users.password", old=visit.said("old"), new=new)
    except PatchtideError as error:
        return await shown(desk, visit, error=error)
    return see_other("/account?done=password")


async def shown(desk: Desk, visit: Visit, *, error: PatchtideError | None = None) -> Reply:
    known: Whoami = await desk.ask(visit, "whoami")
    keys: KeyList = await desk.ask(visit, "keys.list")
    return desk.page(
        visit,
        "account.html",
        status=200 if error is None else desk.status_of(error),
        known=known,
        role=role_of(known.rights),
        placed=await collection_names(desk, visit),
        keys=keys.items,
        elsewhere=keyless(desk, visit),
        error=error,
    )


def keyless(desk: Desk, visit: Visit) -> tuple[str, ...]:
    """Return where keys work, if they do not at the address that the visitor came by."""
    hosts = desk.context.hosts
    return () if place_of(visit.host, hosts) else elsewhere(visit.host, hosts)
