"""Roles: the ready ones, and those that a site makes of rights for itself.

A role that people hold is looked up with each of their requests, so to change it is to change what
all of them may do. Whoever does so must hold all that it was and all that it becomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.grants import come_to
from patchtide.domain.access.principals import Principal, somebody
from patchtide.domain.access.rights import ROLES, Right, beyond, rights_of
from patchtide.domain.errors import (
    InvalidDocument,
    NotFound,
    Problem,
    Refused,
    WrongState,
)
from patchtide.server.context import Call
from patchtide.server.granting import check_reach
from patchtide.server.handed_on import more_than, take_back, tokens_of
from patchtide.server.keepers import check_nothing_is_lost
from patchtide.server.patterns import ROLE
from patchtide.server.ports.accounts import User
from patchtide.server.ports.decisions import Transaction
from patchtide.server.role_book import (
    MOST,
    ROLE_BOOK,
    KeptRole,
    hands_on,
    held_by,
    pack_roles,
    read_roles,
)
from patchtide.server.table import Input, Nothing, Output

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=40,
        pattern=ROLE,
        description="The role's name, in small letters.",
    ),
]


class OneRole(Input, kw_only=True, frozen=True):
    name: Name


class DefineRole(OneRole, kw_only=True, frozen=True):
    rights: Annotated[
        tuple[Annotated[str, Meta(max_length=64)], ...],
        Meta(
            min_length=1,
            max_length=64,
            description="Rights, each as kind.verb, for example machines.read.",
        ),
    ]
    about: Annotated[str, Meta(max_length=200, description="What it is for.")] = ""


class ShownRole(Output, kw_only=True, frozen=True):
    name: str
    about: str
    rights: tuple[str, ...]
    is_ready: bool
    """It came with Patchtide, and cannot be changed."""
    holders: int
    """How many people were handed it, everywhere or within collections."""
    changed_at: datetime | None
    changed_by: str


class RoleList(Output, kw_only=True, frozen=True):
    items: tuple[ShownRole, ...]


class DefinedRole(Output, kw_only=True, frozen=True):
    holders: int
    """How many people may do something else from now on."""
    tokens: int
    """How many API tokens of theirs were revoked, because they may do more than their makers."""


async def list_all(call: Call, principal: Principal, asked: Nothing) -> RoleList:
    lookups = call.context.lookups
    users, data = await call.read(lambda: (lookups.users(), lookups.setting(ROLE_BOOK)))
    ready = [KeptRole(name=name, rights=_texts(rights)) for name, rights in ROLES.items()]
    made = sorted(read_roles(data).values(), key=lambda role: role.name)
    return RoleList(items=tuple(_shown(role, users) for role in (*ready, *made)))


async def define(call: Call, principal: Principal, asked: DefineRole) -> DefinedRole:
    """Make a role, or change one; who holds it may do just that with the next request.

    A link that was given to one of them for less lets nobody in to more.

    Raises:
        Refused: the asker lacks some of what it is or becomes.
        WrongState: a ready role has that name, or there are too many.
        LastAdministrator: rights would be lost to everybody.
    """
    asker = somebody(principal)
    rights = rights_of(asked.rights)
    if any(one.within for one in rights):
        raise InvalidDocument([Problem("rights", "are limited where the role is handed on")])

    def work(tx: Transaction) -> DefinedRole:
        known = _book(tx, asked.name)
        was = known.get(asked.name)
        check_reach(asker, rights, "you cannot hand on what you lack")
        if was is not None:
            check_reach(asker, rights_of(was.rights), "this role holds what you lack")
        elif len(known) >= MOST:
            raise WrongState(f"there are {MOST} roles already; remove one first")
        holders = [user for user in tx.lock_users() if hands_on(user.rights, asked.name)]
        before = {user.id: held_by(user.rights, tx.setting) for user in holders}
        known[asked.name] = KeptRole(
            name=asked.name,
            rights=_texts(rights),
            about=asked.about,
            by=asker.actor,
            at=call.now.timestamp(),
        )
        tx.put_setting(ROLE_BOOK, pack_roles(known.values()))
        for user in holders:
            if beyond(held_by(user.rights, tx.setting), before[user.id]):
                tx.drop_links(user.id)
        revoked = sum(_taken_back(tx, user, now=call.now) for user in holders)
        check_nothing_is_lost(tx, frozenset[Right]().union(*before.values()), now=call.now)
        tx.note(asked.name, rights=" ".join(_texts(rights)), holders=len(holders), tokens=revoked)
        return DefinedRole(holders=len(holders), tokens=revoked)

    answer = await call.decide(principal, work)
    call.context.api_tokens.forget()
    return answer


async def remove(call: Call, principal: Principal, asked: OneRole) -> None:
    """Raises WrongState: somebody holds it."""
    asker = somebody(principal)

    def work(tx: Transaction) -> None:
        known = _book(tx, asked.name)
        was = known.pop(asked.name, None)
        if was is None:
            raise NotFound
        check_reach(asker, rights_of(was.rights), "this role holds what you lack")
        holders = [user.name for user in tx.lock_users() if hands_on(user.rights, asked.name)]
        if holders:
            raise WrongState(f"{', '.join(holders[:5])} hold it; give them another one first")
        tx.put_setting(ROLE_BOOK, pack_roles(known.values()))
        tx.note(asked.name)

    await call.decide(principal, work)


def _book(tx: Transaction, name: str) -> dict[str, KeptRole]:
    """Raises Refused: that is a ready role."""
    if name in ROLES:
        raise Refused(f"{name} is a ready role; make one with another name")
    return read_roles(tx.lock_setting(ROLE_BOOK))


def _taken_back(tx: Transaction, user: User, *, now: datetime) -> int:
    """Revoke what her programs may do and she may not any more."""
    return take_back(tx, more_than(tokens_of(tx, user), held_by(user.rights, tx.setting)), now=now)


def _texts(rights: frozenset[Right]) -> tuple[str, ...]:
    return tuple(map(str, sorted(rights)))


def _shown(role: KeptRole, users: Sequence[User]) -> ShownRole:
    return ShownRole(
        name=role.name,
        about=role.about,
        rights=role.rights,
        is_ready=role.name in ROLES,
        holders=sum(_is_held(role.name, user) for user in users),
        changed_at=datetime.fromtimestamp(role.at, UTC) if role.at else None,
        changed_by=role.by,
    )


def _is_held(name: str, user: User) -> bool:
    """Say whether she was handed it; or, as it was done before, all its rights one by one."""
    return hands_on(user.rights, name) or come_to(user.rights, {}) == ROLES.get(name)
