"""A browser is asked for a security key, and what the key answers is judged, once.

What it signs is made for one session, is good for five minutes and for one answer, right or wrong.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Annotated, TypeVar

from msgspec import Meta

from patchtide.domain.access.places import Place, elsewhere, place_of
from patchtide.domain.access.principals import Principal, SessionHolder
from patchtide.domain.access.second_factor import is_copied
from patchtide.domain.errors import Refused
from patchtide.server.context import Call, Context
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.security_keys import SecurityKey, WrongKey

T = TypeVar("T")
ASKED_FOR = timedelta(minutes=5)
STOPPED = "keys.stop"
"""What the audit calls it when a key is seen to be one of two."""
Said = Annotated[str, Meta(max_length=16_384)]
"""What the browser brings from the key."""
Host = Annotated[str, Meta(max_length=300)]
"""What the browser names as the server."""


class NoKeysHere(Refused):
    """Browsers use no security key at this address: open the console by a name of the server."""

    code = "no-keys-here"


class CopiedKey(WrongKey):
    """The count of this security key went back: there may be two of it. It counts no more."""

    code = "copied-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedFor:
    """What a page hands to the browser; nothing: no key of hers works at this address."""

    options: str = ""
    elsewhere: tuple[str, ...] = ()
    """Addresses at which one does."""


def in_browser(principal: Principal) -> SessionHolder:
    """Raises Refused: this is a program."""
    if not isinstance(principal, SessionHolder):
        raise Refused("only a person in a browser can do this")
    return principal


def here(context: Context, host: str) -> Place:
    """Raises NoKeysHere."""
    place = place_of(host, context.hosts)
    if place is None:
        others = " or ".join(elsewhere(host, context.hosts))
        raise NoKeysHere(f"browsers use no security key at this address: open {others}")
    return place


async def to_show(context: Context, holder: SessionHolder, *, host: str) -> AskedFor:
    """Ask for one of her keys."""
    place, keys = place_of(host, context.hosts), await _keys(context, holder)
    usable = [key for key in keys if place is not None and key.place == place.name]
    if place is None or not usable:
        names = [key.place for key in keys]
        return AskedFor(elsewhere=elsewhere(host, context.hosts, names))
    challenge = await ask(context, holder)
    return AskedFor(options=context.authenticators.to_show(place, keys=usable, challenge=challenge))


async def ask(context: Context, holder: SessionHolder) -> bytes:
    """Return what a key is to sign; whatever was asked in this session before counts no more."""
    challenge, now = secrets.token_bytes(32), context.clock.now()
    # Nothing is decided: no event, no audit entry.
    await context.decisions.decide(
        holder.actor,
        "sessions.ask",
        lambda tx: tx.put_challenge(holder.session, challenge, until=now + ASKED_FOR),
        now=now,
    )
    return challenge


async def taken(context: Context, holder: SessionHolder) -> bytes:
    """Return what was asked for in this session; it is good for this one answer.

    Raises:
        WrongKey: nothing was, or too long ago.
    """
    now = context.clock.now()
    found = await context.decisions.decide(
        holder.actor, "sessions.ask", lambda tx: tx.take_challenge(holder.session, now=now), now=now
    )
    if found is None:
        raise WrongKey("this took too long, or was answered before: try again")
    return found


async def judge(
    context: Context, holder: SessionHolder, *, host: str, said: str
) -> tuple[SecurityKey, int]:
    """Return which of her keys signed what was asked, and how often it says that it was used.

    Raises:
        WrongKey: none of those that count here, or not that.
        NoKeysHere: none can count here.
    """
    place = here(context, host)
    challenge = await taken(context, holder)
    keys = [key for key in await _keys(context, holder) if key.place == place.name]
    return context.authenticators.shown(place, keys=keys, challenge=challenge, said=said)


async def decide_with(
    call: Call,
    holder: SessionHolder,
    shown: tuple[SecurityKey, int],
    work: Callable[[Transaction], T],
) -> T:
    """Note that the key was used, and do the work in the same decision.

    Raises:
        CopiedKey: its count went back. It is stopped.
    """
    key, counter = shown

    def decided(tx: Transaction) -> T:
        tx.lock_user(holder.user_id)
        kept = next((one for one in tx.security_keys.of(holder.user_id) if one.id == key.id), None)
        if kept is None or kept.stopped_at is not None:
            raise WrongKey
        if is_copied(kept=kept.credential.counter, said=counter):
            raise CopiedKey
        tx.security_keys.used(key.id, counter=counter, at=call.now)
        tx.key_session(holder.session, at=call.now)
        return work(tx)

    try:
        return await call.decide(holder, decided)
    except CopiedKey:
        stop = partial(_stop, holder=holder, key=key, call=call)
        await call.context.decisions.decide(holder.actor, STOPPED, stop, now=call.now)
        raise


def _stop(tx: Transaction, *, holder: SessionHolder, key: SecurityKey, call: Call) -> None:
    tx.security_keys.stop(key.id, at=call.now)
    tx.note(holder.user_id, name=holder.name, key=key.name)


async def _keys(context: Context, holder: SessionHolder) -> list[SecurityKey]:
    found = await asyncio.to_thread(context.lookups.security_keys.of, holder.user_id)
    return [key for key in found if key.stopped_at is None]
