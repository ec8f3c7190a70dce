"""Enrolment tokens: what a new machine shows to get its identity. They live a day at most (S10)."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Set
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.credentials import EnrolmentTokenText, hash_of
from patchtide.domain.access.principals import Anonymous, Principal, check, may_read, scopes_of
from patchtide.domain.access.rights import Kind
from patchtide.domain.errors import InvalidDocument, NotFound, Problem, WrongState
from patchtide.server.api_tokens import TokenId
from patchtide.server.context import Call
from patchtide.server.ports.clients import ClientState, EnrolmentToken
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Nothing, Output, check_within
from patchtide.server.token_vouching import needed_for_machine

LONGEST_H = 24
Label = Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9 ._-]*$(?![\s\S])")]


class CreateToken(Input, kw_only=True, frozen=True):
    uses: Annotated[int, Meta(ge=1, le=100_000, description="How many machines may use it.")] = 1
    hours: Annotated[
        int, Meta(ge=1, le=LONGEST_H, description="After how many hours it stops to be valid.")
    ] = LONGEST_H
    site: Annotated[Label, Meta(description="The machines' site; empty: this one.")] = ""
    group: Annotated[Label, Meta(description="The group the machines join.")] = ""
    approve: Annotated[
        bool, Meta(description="Machines that use it wait for an administrator's approval.")
    ] = False
    machine: Annotated[
        UUID | None, Meta(description="The one expected machine that it lets in, by its id.")
    ] = None


class RevokeToken(Input, kw_only=True, frozen=True):
    token: TokenId


class IssuedToken(Output, kw_only=True, frozen=True):
    id: str
    token: str
    """The whole text; it is shown this once and kept nowhere."""
    expires_at: datetime


class ShownToken(Output, kw_only=True, frozen=True):
    id: str
    site: str
    group: str
    uses_left: int
    approve: bool
    created_at: datetime
    created_by: str
    expires_at: datetime
    bound: bool
    """It lets in one expected machine, and no other."""
    machine: UUID | None
    """Which one, for who may see it."""


class TokenList(Output, kw_only=True, frozen=True):
    items: tuple[ShownToken, ...]


async def create(call: Call, principal: Principal, asked: CreateToken) -> IssuedToken:
    """Make a token; one for an expected machine says beforehand that whoever shows it is that one.

    Raises:
        InvalidDocument: for one machine, and yet for several.
        NotFound: there is no such machine, for him.
        WrongState: it is not expected.
    """
    await _check_machine(call, principal, asked)
    text = EnrolmentTokenText(
        id=secrets.token_hex(6), secret=secrets.token_hex(32), site_ca=call.context.site_ca
    )
    token = EnrolmentToken(
        id=text.id,
        secret_hash=hash_of(text.secret),
        site=asked.site or call.context.site_name,
        group=asked.group,
        uses_left=asked.uses,
        approve=asked.approve,
        created_at=call.now,
        expires_at=call.now + timedelta(hours=asked.hours),
        created_by=principal.actor,
        machine=b"" if asked.machine is None else asked.machine.bytes,
    )

    def work(tx: Transaction) -> None:
        named = _named(tx, token)
        tx.add_enrolment_token(token)
        tx.note(token.id, uses=token.uses_left, site=token.site, group=token.group, **named)

    await call.decide(principal, work)
    return IssuedToken(id=token.id, token=str(text), expires_at=token.expires_at)


async def _check_machine(call: Call, principal: Principal, asked: CreateToken) -> None:
    if asked.machine is None:
        return
    if asked.uses != 1:
        raise InvalidDocument([Problem("uses", "is 1 for a token that is for one machine")])
    if asked.site not in ("", call.context.site_name):
        raise InvalidDocument([Problem("site", "is this one for a machine expected here")])
    needed = needed_for_machine(approve=asked.approve)
    for right in needed:
        check(principal, right, narrows=True)
    if scopes := scopes_of(principal, needed):
        await check_within(call.context.within(scopes).fleet, asked)


def _named(tx: Transaction, token: EnrolmentToken) -> dict[str, str]:
    if not token.machine:
        return {}
    client = tx.client(token.machine)
    if client is None:
        raise NotFound
    if client.state is not ClientState.EXPECTED:
        raise WrongState(f"{client.name} is {client.state}, and not expected")
    return {"machine": token.machine.hex(), "name": client.name}


async def revoke(call: Call, principal: Principal, asked: RevokeToken) -> None:
    def work(tx: Transaction) -> None:
        if not tx.drop_enrolment_token(asked.token):
            raise NotFound
        tx.note(asked.token)

    await call.decide(principal, work)


async def list_all(call: Call, principal: Principal, asked: Nothing) -> TokenList:
    tokens = await call.read(call.context.lookups.enrolment_tokens)
    seen = await _seen(call, principal, {token.machine for token in tokens if token.machine})
    return TokenList(items=tuple(_shown(token, seen) for token in tokens))


async def _seen(call: Call, principal: Principal, some: Set[bytes]) -> Set[bytes]:
    """Return those of these machines that he may see."""
    sees = not isinstance(principal, Anonymous) and may_read(principal.rights, Kind.MACHINES)
    if not some or not sees:
        return frozenset()
    fleet = call.context.fleet
    return await call.read_fleet(
        lambda: fleet.ask(lambda view: {m for m in some if m in view.numbers})
    )


def _shown(token: EnrolmentToken, seen: Collection[bytes]) -> ShownToken:
    return ShownToken(
        id=token.id,
        site=token.site,
        group=token.group,
        uses_left=token.uses_left,
        approve=token.approve,
        created_at=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
        bound=bool(token.machine),
        machine=UUID(bytes=token.machine) if token.machine in seen else None,
    )
