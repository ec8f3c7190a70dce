"""A person who is signed in proves anew who she is, before what no browser left open may do."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.principals import Principal, SessionHolder
from patchtide.server.context import Call
from patchtide.server.own_password import PERSON
from patchtide.server.ports.accounts import User
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.security_keys import WrongKey
from patchtide.server.sessions import WrongPassword, attempt
from patchtide.server.showing_keys import Host, Said, decide_with, in_browser, judge
from patchtide.server.table import Input


class Prove(Input, kw_only=True, frozen=True):
    password: Annotated[str, Meta(max_length=1024)]
    credential: Said = ""
    """Of who has a security key."""
    host: Host = ""


async def prove(call: Call, principal: Principal, asked: Prove) -> None:
    """Prove it by the password and, of who has one, a security key.

    Raises:
        WrongPassword, WrongKey, NoKeysHere: it is no proof.
        TooManyAttempts: a browser left open is no place to guess.
    """
    holder = in_browser(principal)
    user = await _person(call, holder)
    call.context.failed_sign_ins.note_person(user.name)
    with attempt(call, peer=PERSON + user.id, own=user.name):
        if not await call.context.passwords.matches(user.password_hash, asked.password):
            raise WrongPassword("This is not your password.")

        def work(tx: Transaction) -> None:
            current = tx.lock_user(user.id)
            if current is None or current.password_hash != user.password_hash:
                raise WrongPassword("Your password was changed meanwhile.")
            if not holder.has_key and tx.security_keys.of(user.id):
                raise WrongKey("You have registered a security key meanwhile: try again.")
            tx.prove_session(holder.session, at=call.now)
            tx.note(user.id, name=user.name)

        if not holder.has_key:
            await call.decide(principal, work)
            return
        shown = await judge(call.context, holder, host=asked.host, said=asked.credential)
        await decide_with(call, holder, shown, work)


async def _person(call: Call, holder: SessionHolder) -> User:
    found = await call.read(lambda: call.context.lookups.session(holder.session))
    if found is None:
        raise WrongPassword
    return found[1]
