"""A person's own security keys: registered, listed, renamed, removed; and shown at the door."""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.places import elsewhere, place_of
from patchtide.domain.access.principals import Principal, SessionHolder
from patchtide.domain.access.proofs import SignInAgain, is_recent
from patchtide.domain.access.second_factor import Owed, SecondFactorNeeded
from patchtide.domain.errors import InvalidDocument, NotFound, Problem, WrongState
from patchtide.server.context import Call, Context
from patchtide.server.own_password import PERSON, person_of
from patchtide.server.patterns import SHORT_ID
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.security_keys import SecurityKey
from patchtide.server.sessions import attempt
from patchtide.server.showing_keys import (
    AskedFor,
    Host,
    Said,
    ask,
    decide_with,
    here,
    in_browser,
    judge,
    taken,
)
from patchtide.server.table import Input, Nothing, Output

MOST = 10
Name = Annotated[str, Meta(max_length=64)]
KeyId = Annotated[str, Meta(max_length=12, pattern=SHORT_ID)]


class AddKey(Input, kw_only=True, frozen=True):
    name: Name
    credential: Said
    host: Host


class ShowKey(Input, kw_only=True, frozen=True):
    credential: Said
    host: Host


class RenameKey(Input, kw_only=True, frozen=True):
    key: KeyId
    name: Name


class OneKey(Input, kw_only=True, frozen=True):
    key: KeyId


class ShownKey(Output, kw_only=True, frozen=True):
    id: str
    name: str
    place: str
    """The name of the site under which it works, and under no other."""
    added_at: datetime
    used_at: datetime | None
    stopped_at: datetime | None
    """Since then it counts no more: it was seen to be one of two."""


class KeyList(Output, kw_only=True, frozen=True):
    items: tuple[ShownKey, ...]


async def list_own(call: Call, principal: Principal, asked: Nothing) -> KeyList:
    """Raises Refused: the asker is no person, and no program that one let in."""
    user = await person_of(call, principal)
    found = await call.read(lambda: call.context.lookups.security_keys.of(user.id))
    return KeyList(items=tuple(_shown(key) for key in found))


async def to_register(context: Context, holder: SessionHolder, *, host: str) -> AskedFor:
    """Ask the browser for a new key of hers.

    Raises:
        SignInAgain: she must prove anew who she is before.
    """
    _check_may_register(holder)
    if not is_recent(holder, now=context.clock.now()):
        raise SignInAgain
    place = place_of(host, context.hosts)
    if place is None:
        return AskedFor(elsewhere=elsewhere(host, context.hosts))
    found = await asyncio.to_thread(context.lookups.security_keys.of, holder.user_id)
    known = [key for key in found if key.place == place.name]
    challenge = await ask(context, holder)
    options = context.authenticators.to_register(
        place, user=holder.user_id, name=holder.name, known=known, challenge=challenge
    )
    return AskedFor(options=options)


async def add(call: Call, principal: Principal, asked: AddKey) -> None:
    """Register a key; it counts as shown in this session.

    Raises:
        WrongKey: this is not what a key answers to what was asked in this session.
        SecondFactorNeeded: she has one already and has not shown it.
    """
    holder, name = in_browser(principal), _named(asked.name)
    _check_may_register(holder)
    place = here(call.context, asked.host)
    with attempt(call, peer=PERSON + holder.user_id, own=holder.name):
        challenge = await taken(call.context, holder)
        credential = call.context.authenticators.registered(
            place, challenge=challenge, said=asked.credential
        )
    key = SecurityKey(
        id=secrets.token_hex(6),
        user=holder.user_id,
        name=name,
        place=place.name,
        credential=credential,
        added_at=call.now,
    )

    def work(tx: Transaction) -> None:
        tx.lock_user(holder.user_id)
        keys = tx.security_keys.of(holder.user_id)
        if keys and not holder.has_key:  # registered in another browser, a moment ago
            raise SecondFactorNeeded
        if len(keys) >= MOST:
            raise WrongState(f"{MOST} security keys are enough: remove one first")
        tx.security_keys.add(key)
        tx.key_session(holder.session, at=call.now)
        tx.note(holder.user_id, name=holder.name, key=name, place=place.name)

    await call.decide(principal, work)


async def show(call: Call, principal: Principal, asked: ShowKey) -> None:
    """Show a key after the password: then she is signed in altogether.

    Raises:
        WrongKey, CopiedKey, NoKeysHere, TooManyAttempts: she is not.
    """
    holder = in_browser(principal)
    with attempt(call, peer=PERSON + holder.user_id, own=holder.name):
        shown = await judge(call.context, holder, host=asked.host, said=asked.credential)

        def work(tx: Transaction) -> None:
            tx.note(holder.user_id, name=holder.name, key=shown[0].name)

        await decide_with(call, holder, shown, work)


async def rename(call: Call, principal: Principal, asked: RenameKey) -> None:
    holder, name = in_browser(principal), _named(asked.name)

    def work(tx: Transaction) -> None:
        key = _own(tx, holder, asked.key)
        tx.security_keys.rename(key.id, name)
        tx.note(holder.user_id, name=holder.name, key=name, was=key.name)

    await call.decide(principal, work)


async def remove(call: Call, principal: Principal, asked: OneKey) -> None:
    holder = in_browser(principal)

    def work(tx: Transaction) -> None:
        key = _own(tx, holder, asked.key)
        tx.security_keys.remove(key.id)
        # It may be removed because somebody else has it.
        ended = tx.end_sessions(holder.user_id, but=holder.session)
        tx.note(holder.user_id, name=holder.name, key=key.name, sessions=ended)

    await call.decide(principal, work)


def _check_may_register(holder: SessionHolder) -> None:
    if holder.owes is Owed.KEY:
        # Otherwise whoever has stolen a password would bring a key of his own.
        raise SecondFactorNeeded


def _own(tx: Transaction, holder: SessionHolder, id: str) -> SecurityKey:
    """Raises NotFound: she has no such key, whoever else may."""
    key = next((one for one in tx.security_keys.of(holder.user_id) if one.id == id), None)
    if key is None:
        raise NotFound
    return key


def _named(said: str) -> str:
    name = " ".join(said.split())
    if not name or not name.isprintable():
        raise InvalidDocument([Problem("name", "is missing: it tells your keys apart")])
    return name


def _shown(key: SecurityKey) -> ShownKey:
    return ShownKey(
        id=key.id,
        name=key.name,
        place=key.place,
        added_at=key.added_at,
        used_at=key.used_at,
        stopped_at=key.stopped_at,
    )
