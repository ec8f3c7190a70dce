"""People: listed, added, given a link to choose a password, disabled and enabled."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.listing import Shape
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.rights import ROLES
from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem
from patchtide.server.users import IssuedLink, ShownUser

_ACTS: Mapping[str, str] = MappingProxyType(
    {"link": "users.link", "disable": "users.disable", "enable": "users.enable"}
)


async def page(desk: Desk, visit: Visit) -> Reply:
    return await _shown(desk, visit)


async def create(desk: Desk, visit: Visit) -> Reply:
    try:
        issued = await desk.ask(
            visit, "users.create", name=visit.said("name").strip(), role=visit.said("role")
        )
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return await _shown(desk, visit, issued=issued)


async def act(desk: Desk, visit: Visit) -> Reply:
    name = visit.said("act")
    if name not in _ACTS:
        raise InvalidDocument([Problem("act", "is nothing that can be done to a person")])
    try:
        answer = await desk.ask(visit, _ACTS[name], user=visit.said("user"))
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    if isinstance(answer, IssuedLink):
        return await _shown(desk, visit, issued=answer)
    return see_other(f"/people?done={name}-1")


def standing(user: ShownUser) -> str:
    if user.disabled_at is not None:
        return "disabled"
    return "active" if user.has_password else "invited"


async def _shown(
    desk: Desk,
    visit: Visit,
    *,
    issued: IssuedLink | None = None,
    error: PatchtideError | None = None,
) -> Reply:
    found = await desk.ask(visit, "users.list")
    asked = SHAPE.asked("/people", visit.query)
    if kind := visit.query.get("format"):
        return SHAPE.export(found.items, asked, kind)
    return desk.page(
        visit,
        "people.html",
        status=200 if error is None else desk.status_of(error),
        listed=SHAPE.page(found.items, asked),
        asked=asked,
        issued=issued,
        error=error,
        roles=tuple(ROLES),
        standing=standing,
        server=f"https://{visit.headers.get('host', '')}",
        typed={name: visit.said(name) if error else "" for name in ("name", "role")},
    )


SHAPE: Shape[ShownUser] = Shape(
    name="people",
    text=lambda u: f"{u.name} {u.role}",
    sorts={
        "name": lambda u: u.name,
        "role": lambda u: (u.role, u.name),
        "created": lambda u: u.created_at,
        "standing": standing,
    },
    sort="name",
    filters={"standing": standing, "role": lambda u: u.role},
    cells={
        "id": lambda u: u.id,
        "name": lambda u: u.name,
        "role": lambda u: u.role,
        "standing": standing,
        "created_at": lambda u: u.created_at,
    },
)
