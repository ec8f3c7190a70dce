"""From when on a machine counts as ailing, as a site sets it; silence goes by its check-ins."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.versions_semver import semver_key
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.context import Call
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Nothing, Output

HEALTH = "health.settings"


class KeptHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is not kept is as sites begin."""

    waiting_h: int = 24
    oldest_agent: str = ""


class SetHealth(Input, kw_only=True, frozen=True):
    """What is not said is as sites begin."""

    waiting_h: Annotated[
        int,
        Meta(
            ge=0,
            le=8760,
            description="A machine may be expected, or wait for approval, for so many hours.",
        ),
    ] = KeptHealth().waiting_h
    oldest_agent: Annotated[
        str,
        Meta(max_length=64, description="The oldest version of agents that will do, as 1.4.0."),
    ] = ""


class ShownHealth(Output, kw_only=True, frozen=True):
    waiting_h: int
    oldest_agent: str
    """Empty: any will do."""


def read_health(data: bytes | None) -> KeptHealth:
    return msgspec.msgpack.decode(data, type=KeptHealth) if data else KeptHealth()


async def show(call: Call, principal: Principal, asked: Nothing) -> ShownHealth:
    lookups = call.context.lookups
    return _shown(read_health(await call.read(lambda: lookups.setting(HEALTH))))


async def set_health(call: Call, principal: Principal, asked: SetHealth) -> ShownHealth:
    """Raises InvalidDocument: it is no version."""
    if asked.oldest_agent and semver_key(asked.oldest_agent) is None:
        raise InvalidDocument([Problem("oldest_agent", "is no version such as 1.4.0")])
    kept = KeptHealth(waiting_h=asked.waiting_h, oldest_agent=asked.oldest_agent)

    def work(tx: Transaction) -> None:
        tx.lock_setting(HEALTH)
        tx.put_setting(HEALTH, msgspec.msgpack.encode(kept))
        tx.note("health", waiting_h=kept.waiting_h, oldest_agent=kept.oldest_agent)

    await call.decide(principal, work)
    return _shown(kept)


def _shown(kept: KeptHealth) -> ShownHealth:
    return ShownHealth(waiting_h=kept.waiting_h, oldest_agent=kept.oldest_agent)
