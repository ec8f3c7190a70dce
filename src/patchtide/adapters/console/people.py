"""People: listed, added, given a link or another role, disabled and enabled: one, or many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from uuid import UUID

from patchtide.adapters.console.bulk import Act, Chosen, Rows, carry_out, ids_of, no_such_act
from patchtide.adapters.console.choices import collected, list_names
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.listing import Shape
from patchtide.adapters.console.machine_names import place_said
from patchtide.adapters.console.replies import Reply, see_other
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.principals import SessionHolder
from patchtide.domain.access.rights import AT, MACHINE, Kind, beyond, rights_of
from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem
from patchtide.server.fleet_view import View
from patchtide.server.sign_in_links import IssuedLink
from patchtide.server.users import ShownUser

PEOPLE = Rows(field="user", form="/people/act", noun="person", plural="people")
LINK, FORGET, ROLE = "link", "forget", "role"
TYPED = ("name", "role", "within", "machine")
LIMITS = ("person", "site", "described", "described_site")
NEW_LINK = Act(
    operation="users.link",
    label="Make a new link for",
    done="given a new link",
    asks_first="Out at once: every session ends, and every API token made by them or with such a"
    " token is revoked for good. The old password is good until the link is used.",
    right="accounts.modify",
)
FORGET_KEYS = replace(
    NEW_LINK,
    label="Make a new link, and forget the security keys, for",
    asks_first="Be sure who asks you: whoever opens the link chooses the password and needs none of"
    " the keys. Out at once, with every session and API token; the keys are forgotten when the link"
    " is used.",
)
LINKS: Mapping[str, Act] = MappingProxyType({LINK: NEW_LINK, FORGET: FORGET_KEYS})
ACTS: Mapping[str, Act] = MappingProxyType(
    {
        ROLE: Act(
            operation="users.role",
            label="Change role of",
            done="given another role",
            asks_first="It holds at once, and every API token made by them or with such a token"
            " that may do more than the new role is revoked for good.",
            right="accounts.modify",
        ),
        "vouch": Act(
            operation="users.vouch",
            label="Vouch for",
            done="vouched for",
            asks_first="You say that you have spoken to them yourself, that they chose their own"
            " passwords, and that each is a person who has no other account here. From then on they"
            " agree to what others propose.",
            right="accounts.administer",
        ),
        "enable": Act(
            operation="users.enable", label="Enable", done="enabled", right="accounts.modify"
        ),
        "disable": Act(
            operation="users.disable",
            label="Disable",
            done="disabled",
            asks_first="Out at once: every session ends, and every API token made by them or with"
            " such a token is revoked for good.",
            right="accounts.modify",
        ),
    }
)


async def page(desk: Desk, visit: Visit) -> Reply:
    return await _shown(desk, visit)


async def create(desk: Desk, visit: Visit) -> Reply:
    try:
        issued = await desk.ask(
            visit,
            "users.create",
            name=visit.said("name").strip(),
            role=visit.said("role"),
            within=await place_said(desk, visit),
        )
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return await _shown(desk, visit, issued=issued)


async def act(desk: Desk, visit: Visit) -> Reply:
    name, ids = visit.said("act"), ids_of(visit, PEOPLE.field)
    back = visit.back(otherwise="/people")
    if name in LINKS and len(ids) == 1:
        return await _link(desk, visit, name, ids, back=back)
    if name not in ACTS:
        raise no_such_act(PEOPLE.plural)
    if name == ROLE and not visit.said(ROLE):
        no_role = InvalidDocument([Problem("role", "is missing: choose one beside the button")])
        return await _shown(desk, visit, error=no_role)
    try:
        within = await place_said(desk, visit) if name == ROLE else ""
    except InvalidDocument as error:
        return await _shown(desk, visit, error=error)
    more = {ROLE: visit.said(ROLE), "within": within} if name == ROLE else {}
    chosen = await _chosen(desk, visit, ids)
    return await carry_out(desk, visit, PEOPLE, name, ACTS[name], chosen, back=back, **more)


async def set_limits(desk: Desk, visit: Visit) -> Reply:
    try:
        said = {name: visit.said(name) for name in LIMITS if visit.said(name)}
        await desk.ask(visit, "settings.set-limits", **said)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return see_other("/people?done=limits")


async def set_second_factor(desk: Desk, visit: Visit) -> Reply:
    try:
        required = visit.said("required") == "yes"
        await desk.ask(visit, "settings.set-second-factor", required=required)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return see_other("/people?done=second-factor")


async def _link(desk: Desk, visit: Visit, name: str, ids: Sequence[str], *, back: str) -> Reply:
    if visit.said("sure") != "yes":
        chosen = await _chosen(desk, visit, ids)
        return await carry_out(desk, visit, PEOPLE, name, LINKS[name], chosen, back=back)
    try:
        issued = await desk.ask(visit, "users.link", user=ids[0], forget_keys=name == FORGET)
    except PatchtideError as error:
        return await _shown(desk, visit, error=error)
    return await _shown(desk, visit, issued=issued)


async def _chosen(desk: Desk, visit: Visit, ids: Sequence[str]) -> Sequence[Chosen]:
    """Return who was chosen, the visitor last: what is done to her may be the end of her rights."""
    found = await desk.ask(visit, "users.list")
    names = {user.id: user.name for user in found.items}
    own = visit.principal.user_id if isinstance(visit.principal, SessionHolder) else ""
    chosen = [Chosen(id=user, name=names.get(user, user)) for user in ids]
    return sorted(chosen, key=lambda one: one.id == own)


def standing(user: ShownUser) -> str:
    if user.disabled_at is not None:
        return "disabled"
    return "active" if user.has_password else "invited"


async def roles_for(desk: Desk, visit: Visit) -> Sequence[str]:
    """Return the roles that the visitor can hand on."""
    if not isinstance(visit.principal, SessionHolder):
        return ()
    held = visit.principal.rights
    found = (await desk.ask(visit, "roles.list")).items
    return [role.name for role in found if not beyond(rights_of(role.rights), held)]


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
    collections = {str(one.id): one.name for one in await collected(desk, visit)}
    return desk.page(
        visit,
        "people.html",
        status=200 if error is None else desk.status_of(error),
        listed=SHAPE.page(found.items, asked),
        asked=asked,
        issued=issued,
        error=error,
        acts=ACTS,
        roles=await roles_for(desk, visit),
        collections=collections,
        lists=await list_names(desk, visit),
        placed={**collections, **await _machines(desk, visit, found.items)},
        limits=await desk.ask(visit, "settings.limits"),
        second=await desk.ask(visit, "settings.second-factor"),
        standing=standing,
        server=f"https://{visit.headers.get('host', '')}",
        typed={name: visit.said(name) if error else "" for name in TYPED},
    )


async def _machines(desk: Desk, visit: Visit, users: Sequence[ShownUser]) -> Mapping[str, str]:
    """Return what the machines are called that somebody's rights end at, by place."""
    places = {text.partition(AT)[2] for user in users for text in user.grants}
    asked = {place for place in places if place.startswith(MACHINE)}
    if not asked or not desk.may_read(visit, Kind.MACHINES):
        return {}
    fleet = desk.context.fleet

    def question(view: View) -> Mapping[str, str]:
        numbers = {p: view.numbers.get(UUID(p.removeprefix(MACHINE)).bytes) for p in asked}
        return {p: view.members[n].client.name for p, n in numbers.items() if n is not None}

    return await desk.of_fleet(lambda: fleet.ask(question))


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
