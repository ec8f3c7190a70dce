"""API tokens: keys of people and programs to the administrators' plane.

Nobody hands on more than he has: neither a right, nor a longer life.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from patchtide.domain.access.credentials import ApiTokenText, hash_of
from patchtide.domain.access.principals import Principal, SignedIn, TokenHolder, somebody
from patchtide.domain.access.rights import Right
from patchtide.domain.errors import NotFound
from patchtide.server.authentication import known_rights
from patchtide.server.context import Call
from patchtide.server.granting import LeftOut, Rights, RoleName, Within, check_reach, granted
from patchtide.server.keepers import check_somebody_stays
from patchtide.server.patterns import SHORT_ID
from patchtide.server.ports.api_tokens import ApiToken
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Nothing, Output

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$(?![\s\S])")]
TokenId = Annotated[str, Meta(max_length=12, pattern=SHORT_ID, description="The token's id.")]


class CreateApiToken(Input, kw_only=True, frozen=True):
    name: Annotated[Name, Meta(description="Whose it is, or what for.")]
    rights: Rights = ()
    role: Annotated[
        RoleName, Meta(description="A role whose rights of today are added; later ones are not.")
    ] = ""
    within: Within = ""
    days: Annotated[
        int, Meta(ge=1, le=366, description="After how many days it stops to be valid.")
    ] = 90


class RevokeApiToken(Input, kw_only=True, frozen=True):
    token: TokenId


class ShownApiToken(Output, kw_only=True, frozen=True):
    id: str
    name: str
    rights: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None


class ApiTokenList(Output, kw_only=True, frozen=True):
    items: tuple[ShownApiToken, ...]


class IssuedApiToken(Output, kw_only=True, frozen=True):
    id: str
    token: str
    """The whole text; it is shown this once and kept nowhere."""
    rights: tuple[str, ...]
    expires_at: datetime | None
    left_out: LeftOut = ()
    """What of its role means nothing at that place."""


class Whoami(Output, kw_only=True, frozen=True):
    token: str
    name: str
    rights: tuple[str, ...]
    expires_at: datetime | None


def issue(
    name: str,
    *,
    rights: Iterable[Right],
    now: datetime,
    expires_at: datetime | None,
    by: str,
) -> tuple[ApiToken, IssuedApiToken]:
    """Make a token: the row that is stored and the answer that shows its secret."""
    text = ApiTokenText(id=secrets.token_hex(6), secret=secrets.token_hex(32))
    texts = tuple(str(r) for r in sorted(rights))
    token = ApiToken(
        id=text.id,
        name=name,
        secret_hash=hash_of(text.secret),
        rights=texts,
        created_at=now,
        expires_at=expires_at,
        created_by=by,
    )
    answer = IssuedApiToken(id=text.id, token=str(text), rights=texts, expires_at=expires_at)
    return token, answer


async def create(call: Call, principal: Principal, asked: CreateApiToken) -> IssuedApiToken:
    creator = somebody(principal)
    expires_at = _expiry(call.now + timedelta(days=asked.days), creator)

    def work(tx: Transaction) -> IssuedApiToken:
        handed = granted(tx, creator, asked)
        token, answer = issue(
            asked.name, rights=handed.rights, now=call.now, expires_at=expires_at, by=creator.actor
        )
        tx.add_api_token(token)
        tx.note(token.id, name=token.name, rights=" ".join(token.rights))
        return replace(answer, left_out=handed.left_out)

    return await call.decide(principal, work)


async def revoke(call: Call, principal: Principal, asked: RevokeApiToken) -> None:
    """Take a token away from whoever holds it.

    Raises:
        Refused: it may do what the asker may not; who has less does not disarm who has more.
        LastAdministrator: rights would be lost to everybody, for good.
    """
    asker = somebody(principal)

    def work(tx: Transaction) -> None:
        token = next((t for t in tx.lock_api_tokens() if t.id == asked.token), None)
        if token is None:
            raise NotFound
        check_reach(asker, known_rights(token.rights), "this token holds what you lack")
        check_somebody_stays(tx, leaving_tokens={token.id}, now=call.now)
        tx.revoke_api_token(token.id, now=call.now)
        tx.note(token.id, name=token.name)

    await call.decide(principal, work)
    call.context.api_tokens.forget()


async def list_all(call: Call, principal: Principal, asked: Nothing) -> ApiTokenList:
    tokens = await call.read(call.context.lookups.api_tokens)
    return ApiTokenList(items=tuple(_shown(t) for t in tokens))


async def whoami(call: Call, principal: Principal, asked: Nothing) -> Whoami:
    holder = somebody(principal)
    return Whoami(
        token=holder.token_id if isinstance(holder, TokenHolder) else "",
        name=holder.name,
        rights=tuple(str(r) for r in sorted(holder.rights)),
        expires_at=_end_of(holder),
    )


def _end_of(holder: SignedIn) -> datetime | None:
    """Return when what the holder is known by ends for good; a person stays."""
    return holder.expires_at if isinstance(holder, TokenHolder) else None


def _expiry(asked: datetime, creator: SignedIn) -> datetime:
    end = _end_of(creator)
    return asked if end is None else min(asked, end)


def _shown(token: ApiToken) -> ShownApiToken:
    return ShownApiToken(
        id=token.id,
        name=token.name,
        rights=token.rights,
        created_at=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
    )
