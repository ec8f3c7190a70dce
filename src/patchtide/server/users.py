"""People's accounts: made, listed, disabled, and given a link to choose a password.

An administrator never learns a password. Whoever is to sign in gets a link that works once.

A person and her rights stay until somebody takes them away. So a token that ends makes none: it is
refused. An account with an end of its own would need a second clock at each sign-in, each link and
each change of a role, and somebody surprised on the day it strikes.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from patchtide.domain.access.grants import come_to, left_out, role_held
from patchtide.domain.access.persons import USER, behind
from patchtide.domain.access.principals import Principal, SignedIn, TokenHolder, somebody
from patchtide.domain.access.rights import Right, beyond, role_of
from patchtide.domain.errors import (
    NotFound,
    Refused,
    WrongState,
)
from patchtide.server.context import Call
from patchtide.server.granting import (
    LeftOut,
    Rights,
    RoleName,
    Within,
    check_reach,
    granted,
    in_order,
)
from patchtide.server.handed_on import more_than, take_back, take_back_all, tokens_of
from patchtide.server.keepers import check_somebody_stays
from patchtide.server.patterns import SHORT_ID
from patchtide.server.ports.accounts import LinkUse, User
from patchtide.server.ports.decisions import Transaction
from patchtide.server.role_book import ROLE_BOOK, held_by, read_roles, rights_by
from patchtide.server.sign_in_links import IssuedLink, issue
from patchtide.server.table import Input, Nothing, Output

UserName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[a-z0-9][a-z0-9._@-]*$(?![\s\S])",
        description="The name to sign in with.",
    ),
]
UserId = Annotated[str, Meta(max_length=12, pattern=SHORT_ID, description="The user's id.")]


class CreateUser(Input, kw_only=True, frozen=True):
    name: UserName
    role: Annotated[RoleName, Meta(description="A role that the user gets.")] = ""
    rights: Rights = ()
    within: Within = ""


class ChangeRole(Input, kw_only=True, frozen=True):
    user: UserId
    role: Annotated[RoleName, Meta(description="The role that replaces what they had.")] = ""
    rights: Rights = ()
    within: Within = ""


class OneUser(Input, kw_only=True, frozen=True):
    user: UserId


class RenewLink(Input, kw_only=True, frozen=True):
    user: UserId
    forget_keys: Annotated[
        bool, Meta(description="Whoever uses it needs none of her security keys: they are lost.")
    ] = False


class ShownUser(Output, kw_only=True, frozen=True):
    id: str
    name: str
    role: str
    """The one role that is all she has, everywhere; empty: it is more than that, or less."""
    grants: tuple[str, ...]
    """What she was handed: roles and rights, everywhere or within collections."""
    rights: tuple[str, ...]
    """What that comes to now."""
    left_out: LeftOut
    """What of the roles means nothing where she was handed them."""
    has_password: bool
    keys: int
    """How many security keys she has."""
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    let_in_by: str
    """The name of who let her in; nobody has vouched for her since, so she approves nothing."""


class UserList(Output, kw_only=True, frozen=True):
    items: tuple[ShownUser, ...]


class ChangedRole(Output, kw_only=True, frozen=True):
    tokens: int
    """How many API tokens that she made were revoked with it."""
    left_out: LeftOut
    """What of the role means nothing at that place."""


def new_user(
    name: str, *, rights: Iterable[Right | str], password_hash: str, now: datetime, by: str
) -> User:
    return User(
        id=secrets.token_hex(6),
        name=name,
        rights=tuple(sorted(map(str, rights))),
        password_hash=password_hash,
        created_at=now,
        created_by=by,
    )


async def create(call: Call, principal: Principal, asked: CreateUser) -> IssuedLink:
    """Raises Refused: the asker lacks some of these rights, or asks with a token that ends."""
    creator = _lasting(principal)

    def work(tx: Transaction) -> IssuedLink:
        handed, by = granted(tx, creator, asked), creator.actor
        user = new_user(asked.name, rights=handed.grants, password_hash="", now=call.now, by=by)
        link, answer = issue(user, now=call.now, shown_to=_person(tx, creator))
        tx.add_user(user)
        tx.put_link(link)
        tx.note(user.id, name=user.name, rights=" ".join(user.rights))
        return replace(answer, left_out=handed.left_out)

    return await call.decide(principal, work)


async def list_all(call: Call, principal: Principal, asked: Nothing) -> UserList:
    lookups = call.context.lookups
    found, data, keys = await call.read(
        lambda: (lookups.users(), lookups.setting(ROLE_BOOK), lookups.security_keys.counts())
    )
    roles = rights_by(read_roles(data).values())
    names = {f"{USER}{user.id}": user.name for user in found}
    return UserList(
        items=tuple(_shown(user, roles, names, keys=keys.get(user.id, 0)) for user in found)
    )


async def renew_link(call: Call, principal: Principal, asked: RenewLink) -> IssuedLink:
    """Give a new link; the password stays good until the link is used.

    Her security keys are asked for after it too, unless it is said that they are to be forgotten;
    they are when it is used, so that the old password never opens anything without them.

    Whoever asks for one has lost hold of the account, or fears it: its sessions end, and the API
    tokens that were made with it are revoked; those made until then are when the link is used.

    Raises:
        Refused: the user has rights that the asker lacks, and would lend them by it; or the asker
            asks with a token that ends.
        LastAdministrator: without these tokens rights would be lost to everybody.
    """
    creator = _lasting(principal)

    def work(tx: Transaction) -> IssuedLink:
        user = locked_user(tx, asked.user)
        if user.disabled_at is not None:
            raise WrongState("the user is disabled")
        check_reach_to(tx, creator, user)
        revoked = take_back_all(tx, user, now=call.now)
        ended = tx.end_sessions(user.id)
        use = LinkUse.START_ANEW if asked.forget_keys else LinkUse.CHOOSE_PASSWORD
        link, answer = issue(user, now=call.now, use=use, shown_to=_person(tx, creator))
        tx.put_link(link)
        tx.note(
            user.id,
            name=user.name,
            until=link.expires_at.isoformat(),
            sessions=ended,
            tokens=revoked,
            forget_keys=asked.forget_keys,
        )
        return replace(answer, sessions=ended, tokens=revoked)

    answer = await call.decide(principal, work)
    call.context.api_tokens.forget()
    return answer


async def disable(call: Call, principal: Principal, asked: OneUser) -> None:
    """Shut a person out: her sessions, links and the API tokens that she made end with it.

    Raises:
        LastAdministrator: rights would be lost to everybody.
    """
    creator = somebody(principal)

    def work(tx: Transaction) -> None:
        user = locked_user(tx, asked.user)
        check_reach_to(tx, creator, user)
        tokens = tokens_of(tx, user)
        check_somebody_stays(
            tx, leaving_tokens={t.id for t in tokens}, leaving_user=user.id, now=call.now
        )
        if not tx.disable_user(user.id, at=call.now):
            raise WrongState("the user is disabled already")
        tx.drop_links(user.id)
        tx.note(
            user.id,
            name=user.name,
            sessions=tx.end_sessions(user.id),
            tokens=take_back(tx, tokens, now=call.now),
        )

    await call.decide(principal, work)
    call.context.api_tokens.forget()


async def enable(call: Call, principal: Principal, asked: OneUser) -> None:
    creator = _lasting(principal)

    def work(tx: Transaction) -> None:
        user = locked_user(tx, asked.user)
        check_reach_to(tx, creator, user)
        if not tx.disable_user(user.id, at=None):
            raise WrongState("the user is not disabled")
        tx.note(user.id, name=user.name)

    await call.decide(principal, work)


async def change_role(call: Call, principal: Principal, asked: ChangeRole) -> ChangedRole:
    """Give a person these rights and no others; it holds with her next request.

    API tokens that she made, and that may do more than she may from now on, are revoked. A link
    that was given for less lets nobody in to more.

    Raises:
        Refused: she has, or would get, what the asker lacks; or she would get more, and the asker
            asks with a token that ends.
        LastAdministrator: rights would be lost to everybody.
    """
    creator = somebody(principal)

    def work(tx: Transaction) -> ChangedRole:
        user = locked_user(tx, asked.user)
        check_reach_to(tx, creator, user)
        handed = granted(tx, creator, asked)
        rights, held = handed.rights, held_by(user.rights, tx.setting)
        if rights == held:
            raise WrongState("the user has just these rights already")
        if beyond(rights, held):
            _lasting(creator)
            tx.drop_links(user.id)
        tokens = more_than(tokens_of(tx, user), rights)
        check_somebody_stays(
            tx,
            leaving_tokens={t.id for t in tokens},
            leaving_user=user.id,
            user_keeps=rights,
            now=call.now,
        )
        tx.set_rights(user.id, handed.grants)
        revoked = take_back(tx, tokens, now=call.now)
        tx.note(user.id, name=user.name, rights=" ".join(handed.grants), tokens=revoked)
        return ChangedRole(tokens=revoked, left_out=handed.left_out)

    answer = await call.decide(principal, work)
    call.context.api_tokens.forget()
    return answer


def _person(tx: Transaction, asking: SignedIn) -> str:
    return behind(asking.actor, tx.api_token_makers())


def check_reach_to(tx: Transaction, creator: SignedIn, user: User) -> None:
    check_reach(creator, held_by(user.rights, tx.setting), "this user holds what you lack")


def locked_user(tx: Transaction, user_id: str) -> User:
    user = tx.lock_user(user_id)
    if user is None:
        raise NotFound
    return user


def _lasting(principal: Principal) -> SignedIn:
    """Return who asks, if nothing that stays would outlive what he is known by.

    Raises:
        Refused: he asks with a token that ends.
    """
    holder = somebody(principal)
    if isinstance(holder, TokenHolder) and holder.expires_at is not None:
        raise Refused(
            "this token ends, and what it let in would stay: ask as a person, or with one without"
            " an end"
        )
    return holder


def _shown(
    user: User, roles: Mapping[str, Collection[str]], names: Mapping[str, str], *, keys: int
) -> ShownUser:
    rights = in_order(come_to(user.rights, roles))
    return ShownUser(
        id=user.id,
        name=user.name,
        role=role_held(user.rights) or role_of(rights),
        grants=user.rights,
        rights=rights,
        left_out=in_order(left_out(user.rights, roles)),
        has_password=user.password_hash != "",
        keys=keys,
        created_at=user.created_at,
        created_by=user.created_by,
        disabled_at=user.disabled_at,
        let_in_by=names.get(user.let_in_by, user.let_in_by),
    )
