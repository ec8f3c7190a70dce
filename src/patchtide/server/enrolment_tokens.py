"""Enrolment tokens: what a new machine shows to get its identity. They live a day at most (S10)."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.credentials import EnrolmentTokenText, hash_of
from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import NotFound
from patchtide.server.api_tokens import TokenId
from patchtide.server.context import Call
from patchtide.server.ports.clients import EnrolmentToken
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Nothing, Output

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


class TokenList(Output, kw_only=True, frozen=True):
    items: tuple[ShownToken, ...]


async def create(call: Call, principal: Principal, asked: CreateToken) -> IssuedToken:
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
    )

    def work(tx: Transaction) -> None:
        tx.add_enrolment_token(token)
        tx.note(token.id, uses=token.uses_left, site=token.site, group=token.group)

    await call.decide(principal, work)
    return IssuedToken(id=token.id, token=str(text), expires_at=token.expires_at)


async def revoke(call: Call, principal: Principal, asked: RevokeToken) -> None:
    def work(tx: Transaction) -> None:
        if not tx.drop_enrolment_token(asked.token):
            raise NotFound
        tx.note(asked.token)

    await call.decide(principal, work)


async def list_all(call: Call, principal: Principal, asked: Nothing) -> TokenList:
    tokens = await call.read(call.context.lookups.enrolment_tokens)
    return TokenList(items=tuple(_shown(t) for t in tokens))


def _shown(token: EnrolmentToken) -> ShownToken:
    return ShownToken(
        id=token.id,
        site=token.site,
        group=token.group,
        uses_left=token.uses_left,
        approve=token.approve,
        created_at=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
    )
