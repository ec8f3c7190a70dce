"""Whether who administers anything needs a security key, as the site sets it.

A fresh site asks for one and lets its first administrator in without; who sets it to required has
one herself, and the password alone lets nobody do more than register one from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.principals import Principal, SessionHolder
from patchtide.domain.access.second_factor import is_privileged
from patchtide.domain.errors import WrongState
from patchtide.server.context import Call
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.reading import Lookups
from patchtide.server.role_book import held_by
from patchtide.server.table import Input, Nothing, Output

SECOND_FACTOR = "second-factor"
_REQUIRED = b"required"


class SetSecondFactor(Input, kw_only=True, frozen=True):
    required: Annotated[
        bool, Meta(description="Whoever administers anything may do nothing without a key.")
    ] = False


class ShownSecondFactor(Output, kw_only=True, frozen=True):
    required: bool
    lacking: tuple[str, ...]
    """Who administers anything, can sign in, and has no security key."""


def is_required(setting: Callable[[str], bytes | None]) -> bool:
    return setting(SECOND_FACTOR) == _REQUIRED


async def show(call: Call, principal: Principal, asked: Nothing) -> ShownSecondFactor:
    return await call.read(lambda: _shown(call.context.lookups))


async def set_it(call: Call, principal: Principal, asked: SetSecondFactor) -> ShownSecondFactor:
    """Raises WrongState: whoever wants it required has no key herself."""
    if asked.required and isinstance(principal, SessionHolder) and not principal.has_key:
        raise WrongState("register a security key of your own first")

    def work(tx: Transaction) -> None:
        was = tx.lock_setting(SECOND_FACTOR) == _REQUIRED
        tx.put_setting(SECOND_FACTOR, _REQUIRED if asked.required else b"")
        tx.note("site", required=asked.required, was=was)

    await call.decide(principal, work)
    return await call.read(lambda: _shown(call.context.lookups))


def _shown(lookups: Lookups) -> ShownSecondFactor:
    having = lookups.security_keys.counts()
    lacking = (
        user.name
        for user in lookups.users()
        if user.is_able
        and user.id not in having
        and is_privileged(held_by(user.rights, lookups.setting))
    )
    return ShownSecondFactor(required=is_required(lookups.setting), lacking=tuple(lacking))
