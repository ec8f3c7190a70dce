"""Signing in and out: a password or a one-time link becomes a session.

A session ends 15 minutes after its person last did something, 12 hours after it began whatever
is done, and at once when it is signed out or its account disabled. Its secret is made anew at
each sign-in and nowhere kept; every request asks the database, so what ends has ended everywhere.
Whoever has a security key may do nothing in it until she has shown one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.credentials import hash_of
from patchtide.domain.access.principals import Principal, SessionHolder
from patchtide.domain.access.rights import ROLES
from patchtide.domain.errors import (
    InvalidDocument,
    NotFound,
    Refused,
    StaleRevision,
    Unauthenticated,
)
from patchtide.server.attempts import TooManyAttempts
from patchtide.server.bootstrap import DONE
from patchtide.server.context import Call
from patchtide.server.four_eyes import FOUR_EYES, read_rule
from patchtide.server.handed_on import take_back_all
from patchtide.server.ports.accounts import LinkUse, Session, SignInLink, User
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.security_keys import WrongKey
from patchtide.server.table import Input, Output
from patchtide.server.users import UserName, new_user

CHOOSING = frozenset({LinkUse.CHOOSE_PASSWORD, LinkUse.START_ANEW})
Password = Annotated[str, Meta(min_length=1, max_length=1024)]
Code = Annotated[str, Meta(min_length=1, max_length=128)]


class WrongPassword(Unauthenticated):
    """No account has this name and this password."""

    code = "wrong-password"


class LinkSpent(Refused):
    """This link has been used, or its time is over. Ask for a new one."""

    code = "link-spent"


class SignIn(Input, kw_only=True, frozen=True):
    name: Annotated[str, Meta(max_length=256)]
    password: Password
    peer: str
    """Where the request comes from."""
    replaces: str = ""
    """The secret of the session that this browser has now; it ends."""


class Welcome(Input, kw_only=True, frozen=True):
    code: Code
    password: Password
    peer: str
    name: UserName = "admin"
    """Whom the first administrator wants to be; a link of somebody else knows whose it is."""
    replaces: str = ""


class Enter(Input, kw_only=True, frozen=True):
    code: Code
    peer: str
    replaces: str = ""


class Begun(Output, kw_only=True, frozen=True):
    """A session has begun. The secret goes into the cookie and nowhere else."""

    secret: str
    name: str


class SignOut(Input, kw_only=True, frozen=True):
    secret: str


async def sign_in(call: Call, principal: Principal, asked: SignIn) -> Begun:
    """Raises TooManyAttempts, or WrongPassword for every mistake alike."""
    name = asked.name.strip().lower()
    with attempt(call, peer=asked.peer, name=name):
        return await _by_password(call, name, asked)


async def _by_password(call: Call, name: str, asked: SignIn) -> Begun:
    context = call.context
    user = await call.read(lambda: context.lookups.user_named(name))
    if user is not None:
        context.failed_sign_ins.note_person(user.name)
    expected = user.password_hash if user is not None and user.is_able else ""
    matches = await context.passwords.matches(expected, asked.password)
    if user is None or not matches:
        raise WrongPassword
    renewed = await context.passwords.renewed(user.password_hash, asked.password)

    def work(tx: Transaction) -> User:
        current = tx.lock_user(user.id)
        # Meanwhile the password may have been changed, or its owner shut out.
        if current is None or current.password_hash != user.password_hash or not current.is_able:
            raise WrongPassword
        if renewed:
            tx.set_password(user.id, renewed)
        return current

    return await _begin(call, _beginning(user), work, replaces=asked.replaces)


async def welcome(call: Call, principal: Principal, asked: Welcome) -> Begun:
    """Choose a password with a one-time link, or claim a fresh site with its one-time code.

    Raises:
        LinkSpent: neither; whoever has no valid code learns no more.
    """
    with attempt(call, peer=asked.peer):
        taken = call.context.bootstrap_code.take(asked.code)
        if taken is None:
            return await _by_link(call, principal, asked)
        return await _by_code(call, asked, taken)


async def _by_code(call: Call, asked: Welcome, taken: bytes) -> Begun:
    code = call.context.bootstrap_code
    try:
        begun = await _claimed(call, asked)
    except (NotFound, StaleRevision) as error:  # claimed before, or at another node just now
        code.spent()
        raise LinkSpent from error
    except BaseException:
        code.give_back(taken)
        raise
    code.spent()
    return begun


async def enter(call: Call, principal: Principal, asked: Enter) -> Begun:
    """Begin a session with a one-time link of whoever holds the server's home folder.

    Raises:
        LinkSpent: there is no such link, or no longer.
    """

    def work(tx: Transaction) -> User:
        return _taken(tx, asked.code, use=LinkUse.SIGN_IN, call=call)

    with attempt(call, peer=asked.peer):
        await _owner(call, asked.code, uses=frozenset({LinkUse.SIGN_IN}))
        # Whoever holds the home folder could change the database: no key is asked for besides.
        return await _begin(call, principal, work, replaces=asked.replaces, keyed=True)


async def sign_out(call: Call, principal: Principal, asked: SignOut) -> None:
    def work(tx: Transaction) -> None:
        if tx.end_session(hash_of(asked.secret)):
            tx.note(principal.actor)

    await call.decide(principal, work)


async def _claimed(call: Call, asked: Welcome) -> Begun:
    user = new_user(
        asked.name,
        rights=ROLES["full-administrator"],
        password_hash=await call.context.passwords.hashed(asked.password, name=asked.name),
        now=call.now,
        by="bootstrap",
    )

    def work(tx: Transaction) -> User:
        if tx.setting(DONE) is not None or tx.count_api_tokens() or tx.count_users():
            raise NotFound
        tx.put_setting(DONE, b"1")
        tx.add_user(user)
        return user

    return await _begin(call, _beginning(user), work, replaces=asked.replaces)


async def _by_link(call: Call, principal: Principal, asked: Welcome) -> Begun:
    # What is no link at all must not cost a slow hash; and within the decision all would wait.
    link, owner = await _owner(call, asked.code, uses=CHOOSING)
    password_hash = await call.context.passwords.hashed(asked.password, name=owner.name)
    ended: dict[str, int] = {}

    def work(tx: Transaction) -> User:
        user = _taken(tx, asked.code, use=link.use, call=call)
        tx.set_password(user.id, password_hash)
        _let_in(tx, user, by=link.shown_to)
        if link.use is LinkUse.START_ANEW:
            ended.update(keys=tx.security_keys.remove_all(user.id))
        # Whoever had the old password, or sat at another browser, is out with all he made.
        tokens = take_back_all(tx, user, now=call.now)
        ended.update(sessions=tx.end_sessions(user.id), tokens=tokens)
        return user

    begun = await _begin(call, principal, work, replaces=asked.replaces, ended=ended)
    call.context.api_tokens.forget()
    return begun


@contextmanager
def attempt(call: Call, *, peer: str, name: str = "", own: str = "") -> Iterator[None]:
    """Let somebody try what he must not try too often; who he is, the block finds out.

    `own`: the name of whose account he is in already; `peer` is that account, and no address.
    """
    context = call.context
    try:
        context.attempts.take(peer=peer, name=name, now=call.now)
        yield
    except (WrongPassword, WrongKey, LinkSpent, TooManyAttempts):
        context.failed_sign_ins.add(peer="" if own else peer, name=own or name)
        raise
    except InvalidDocument:  # he had the link, and only chose a weak password
        context.attempts.succeeded(peer=peer, now=call.now)
        raise
    context.attempts.succeeded(peer=peer, name=name, now=call.now)


async def _owner(call: Call, code: str, *, uses: frozenset[LinkUse]) -> tuple[SignInLink, User]:
    """Return that link, and whose it is; a stranger's guess never reaches the writer.

    Raises:
        LinkSpent: there is no such link, or no longer.
    """
    found = await call.read(lambda: call.context.lookups.link(hash_of(code)))
    if found is None:
        raise LinkSpent
    link, user = found
    if link.use not in uses or call.now >= link.expires_at or user.disabled_at is not None:
        raise LinkSpent
    return link, user


def _let_in(tx: Transaction, user: User, *, by: str) -> None:
    """Remember who could have opened that link; what lets oneself in says nothing new."""
    if by != f"user:{user.id}":
        tx.set_let_in_by(user.id, by if read_rule(tx.setting(FOUR_EYES)).is_on else "")


def _taken(tx: Transaction, code: str, *, use: LinkUse, call: Call) -> User:
    owner = tx.take_link(hash_of(code), use=use, now=call.now)
    user = None if owner is None else tx.lock_user(owner)
    if user is None or user.disabled_at is not None:
        raise LinkSpent
    return user


async def _begin(
    call: Call,
    principal: Principal,
    who: Callable[[Transaction], User],
    *,
    replaces: str,
    ended: Mapping[str, int] = MappingProxyType({}),
    keyed: bool = False,
) -> Begun:
    """Begin the session of whoever `who` says, in the transaction in which it finds out.

    `ended`: what else `who` brought to an end by then, for the audit.
    """
    secret = secrets.token_hex(32)

    def work(tx: Transaction) -> User:
        user = who(tx)
        if replaces:
            tx.end_session(hash_of(replaces))
        tx.add_session(
            Session(
                secret_hash=hash_of(secret),
                user=user.id,
                began_at=call.now,
                seen_at=call.now,
                proved_at=call.now,
                keyed_at=call.now if keyed else None,
            )
        )
        tx.note(user.id, name=user.name, **ended)
        return user

    user = await call.decide(principal, work)
    return Begun(secret=secret, name=user.name)


def _beginning(user: User) -> SessionHolder:
    return SessionHolder(user_id=user.id, name=user.name, rights=frozenset())
