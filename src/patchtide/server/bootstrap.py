"""Claiming a fresh server: the one-time code becomes the first administrator's API token. Once."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.access.rights import ROLES
from patchtide.domain.errors import NotFound, StaleRevision
from patchtide.server.api_tokens import IssuedApiToken, Name, issue
from patchtide.server.context import Call
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.reading import Lookups
from patchtide.server.table import Input

DONE = "bootstrap.done"


class Bootstrap(Input, kw_only=True, frozen=True):
    code: Annotated[
        str, Meta(min_length=1, max_length=128, description="The one-time code of the server.")
    ]
    name: Annotated[Name, Meta(description="What the first API token is called.")] = "bootstrap"


def is_done(lookups: Lookups) -> bool:
    return lookups.setting(DONE) is not None


async def bootstrap(call: Call, principal: Principal, asked: Bootstrap) -> IssuedApiToken:
    """Raises NotFound for any mistake: whoever has no code learns nothing, not even that."""
    code = call.context.bootstrap_code
    taken = code.take(asked.code)
    if taken is None:
        raise NotFound
    token, answer = issue(
        asked.name,
        rights=ROLES["full-administrator"],
        now=call.now,
        expires_at=None,
        by="bootstrap",
    )

    def work(tx: Transaction) -> None:
        # Whether tokens exist is asked too: a lost setting must not open the door again.
        if tx.setting(DONE) is not None or tx.count_api_tokens() or tx.count_users():
            raise NotFound
        tx.put_setting(DONE, b"1")
        tx.add_api_token(token)
        tx.note(token.id, name=token.name)

    try:
        await call.decide(principal, work)
    except (NotFound, StaleRevision) as error:  # done before, or at another node just now
        code.spent()
        raise NotFound from error
    except BaseException:
        code.give_back(taken)
        raise
    code.spent()
    return answer
