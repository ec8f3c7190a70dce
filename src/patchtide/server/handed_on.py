"""What a person handed on to programs: the API tokens she made, and those made with them in turn.

A token is known by who made it. Whoever shuts a person out means all of it: a token made before
that would let her, or whoever stole her session, go on as if nothing had happened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from patchtide.domain.access.rights import Right, beyond
from patchtide.server.authentication import known_rights
from patchtide.server.keepers import check_somebody_stays
from patchtide.server.ports.accounts import User
from patchtide.server.ports.api_tokens import ApiToken
from patchtide.server.ports.decisions import Transaction


def tokens_of(tx: Transaction, user: User) -> tuple[ApiToken, ...]:
    """Return those that are not revoked. Until the end of this transaction they stay so.

    Lock the person first: then no decision of hers, or with one of these tokens, is on its way.
    """
    held = tx.lock_api_tokens()
    made: defaultdict[str, list[str]] = defaultdict(list)
    for token, maker in tx.api_token_makers().items():
        made[maker].append(token)
    # By way of revoked ones too: what they made lives on.
    found: set[str] = set()
    makers = [f"user:{user.id}"]
    while makers:
        new = set(made[makers.pop()]) - found
        found |= new
        makers += [f"api-token:{token}" for token in new]
    return tuple(token for token in held if token.id in found)


def more_than(tokens: Iterable[ApiToken], held: frozenset[Right]) -> tuple[ApiToken, ...]:
    """Return those that may do what the holder of these rights may not."""
    return tuple(token for token in tokens if beyond(known_rights(token.rights), held))


def take_back_all(tx: Transaction, user: User, *, now: datetime) -> int:
    """Revoke all that she handed on; return how many they were.

    Raises:
        LastAdministrator: without these tokens rights would be lost to everybody.
    """
    tokens = tokens_of(tx, user)
    check_somebody_stays(tx, leaving_tokens={token.id for token in tokens}, now=now)
    return take_back(tx, tokens, now=now)


def take_back(tx: Transaction, tokens: Iterable[ApiToken], *, now: datetime) -> int:
    """Revoke them; return how many they were."""
    return sum(tx.revoke_api_token(token.id, now=now) for token in tokens)
