"""Roles: the ready ones, the site's own, and the form that makes or changes one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.rights import TIER_ZERO, Right
from patchtide.domain.errors import PatchtideError
from patchtide.server.roles import ShownRole
from patchtide.server.table import Table

_NOBODYS = ShownRole(
    name="", about="", rights=(), is_ready=False, holders=0, changed_at=None, changed_by=""
)


async def page(desk: Desk, visit: Visit) -> Reply:
    return await _shown(desk, visit)


async def define(desk: Desk, visit: Visit) -> Reply:
    try:
        await desk.ask(
            visit,
            "roles.define",
            name=visit.said("name").strip(),
            about=visit.said("about").strip(),
            rights=visit.form.get("right", ()),
        )
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return see_other("/roles?done=role-defined")


async def act(desk: Desk, visit: Visit) -> Reply:
    try:
        await desk.ask(visit, "roles.remove", name=visit.said("name"))
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return see_other("/roles?done=role-removed")


def asked_for(table: Table) -> Mapping[str, Sequence[str]]:
    """Return the rights that open anything, by their kinds."""
    rights = {need for one in table for need in one.needs if isinstance(need, Right)} | {TIER_ZERO}
    found: dict[str, list[str]] = defaultdict(list)
    for right in sorted(rights):
        found[right.kind.value].append(right.verb.value)
    return found


def _offered(table: Table, ticked: Collection[str]) -> Mapping[str, Sequence[str]]:
    """Return what a form offers: what is ticked stands there though nothing asks for it yet."""
    found = {kind: set(verbs) for kind, verbs in asked_for(table).items()}
    for right in ticked:
        kind, _, verb = right.partition(".")
        found.setdefault(kind, set()).add(verb)
    return {kind: sorted(verbs) for kind, verbs in sorted(found.items())}


async def _shown(desk: Desk, visit: Visit, *, error: PatchtideError | None = None) -> Reply:
    found: Sequence[ShownRole] = (await desk.ask(visit, "roles.list")).items
    wanted = visit.query.get("role", "")
    begun = next((role for role in found if role.name == wanted), _NOBODYS)
    typed = {"name": begun.name if not begun.is_ready else "", "about": begun.about}
    if error is not None:
        typed = {name: visit.said(name) for name in typed}
    ticked = frozenset(visit.form.get("right", ()) if error else begun.rights)
    return desk.page(
        visit,
        "roles.html",
        status=200 if error is None else desk.status_of(error),
        roles=found,
        kinds_of=_offered(desk.table, ticked),
        begun=begun,
        typed=typed,
        ticked=ticked,
        error=error,
    )
