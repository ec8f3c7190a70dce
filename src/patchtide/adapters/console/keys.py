"""The visitor's security keys: registered, renamed, removed, and shown at the door."""

from __future__ import annotations

from patchtide.adapters.console import account
from patchtide.adapters.console.console import Desk, ProofNeeded
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.visits import Visit, local_path
from patchtide.domain.access.principals import SessionHolder
from patchtide.domain.access.proofs import SignInAgain
from patchtide.domain.access.second_factor import Owed
from patchtide.domain.errors import PatchtideError, Unauthenticated
from patchtide.server.own_keys import to_register
from patchtide.server.showing_keys import AskedFor, to_show


async def door(desk: Desk, visit: Visit) -> Reply:
    return await _door(desk, visit, going=local_path(visit.query.get("next", "")))


async def show(desk: Desk, visit: Visit) -> Reply:
    going = local_path(visit.said("next"))
    try:
        said = visit.said("credential")
        await desk.ask(visit, "sessions.show-key", credential=said, host=visit.host)
    except PatchtideError as error:
        return await _door(desk, visit, going=going, error=error)
    return see_other(going)


async def new(desk: Desk, visit: Visit) -> Reply:
    return await _new(desk, visit)


async def add(desk: Desk, visit: Visit) -> Reply:
    try:
        await desk.ask(
            visit,
            "keys.add",
            name=visit.said("name"),
            credential=visit.said("credential"),
            host=visit.host,
        )
    except PatchtideError as error:
        return await _new(desk, visit, error=error)
    return see_other("/account?done=key-added")


async def rename(desk: Desk, visit: Visit) -> Reply:
    try:
        await desk.ask(visit, "keys.rename", key=visit.said("key"), name=visit.said("name"))
    except PatchtideError as error:
        return await account.shown(desk, visit, error=error)
    return see_other("/account?done=key-renamed")


async def remove(desk: Desk, visit: Visit) -> Reply:
    try:
        await desk.ask(visit, "keys.remove", key=visit.said("key"))
    except PatchtideError as error:
        return await account.shown(desk, visit, error=error)
    return see_other("/account?done=key-removed")


def _holder(visit: Visit) -> SessionHolder:
    if not isinstance(visit.principal, SessionHolder):
        raise Unauthenticated
    return visit.principal


async def _door(
    desk: Desk, visit: Visit, *, going: str, error: PatchtideError | None = None
) -> Reply:
    holder = _holder(visit)
    if holder.owes is Owed.NOTHING:
        return see_other(going)
    asked = AskedFor()
    if holder.owes is Owed.KEY:
        asked = await to_show(desk.context, holder, host=visit.host)
    status = 200 if error is None else desk.status_of(error)
    return desk.page(
        visit, "key.html", status=status, going=going, owes=holder.owes, asked=asked, error=error
    )


async def _new(desk: Desk, visit: Visit, *, error: PatchtideError | None = None) -> Reply:
    try:
        asked = await to_register(desk.context, _holder(visit), host=visit.host)
    except SignInAgain as again:
        raise ProofNeeded from again
    status = 200 if error is None else desk.status_of(error)
    name = visit.said("name")
    return desk.page(visit, "new_key.html", status=status, asked=asked, name=name, error=error)
