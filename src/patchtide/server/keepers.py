"""Somebody must stay who can hand on each right: asked before a token, a person or rights go."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from patchtide.domain.access.rights import Right, lost_without
from patchtide.domain.errors import WrongState
from patchtide.server.authentication import known_rights
from patchtide.server.ports.api_tokens import ApiToken
from patchtide.server.ports.decisions import Transaction
from patchtide.server.role_book import held_by

STAYS = timedelta(days=1)
"""A token that ends sooner keeps nobody from being locked out."""


class LastAdministrator(WrongState):
    """Nobody would be left who can hand on these rights."""

    code = "last-administrator"


def check_somebody_stays(
    tx: Transaction,
    *,
    leaving_tokens: Collection[str] = (),
    leaving_user: str = "",
    user_keeps: frozenset[Right] = frozenset(),
    now: datetime,
) -> None:
    """Ask before tokens are revoked, and before a person has no rights but `user_keeps`.

    Raises:
        LastAdministrator: rights would be lost to everybody, for good.
    """
    tokens = [token for token in tx.lock_api_tokens() if not _ends_by(token, now)]
    users = {user.id: user for user in tx.lock_users() if user.is_able}
    user = users.pop(leaving_user, None)
    staying = [held_by(other.rights, tx.setting) for other in users.values()]
    leaving: set[Right] = set()
    for token in tokens:
        if token.id in leaving_tokens:
            leaving |= known_rights(token.rights)
        elif not _ends_by(token, now + STAYS):
            staying.append(known_rights(token.rights))
    if user is not None:
        leaving |= held_by(user.rights, tx.setting)
        staying.append(user_keeps)
    if lost := lost_without(leaving, staying):
        raise LastAdministrator(
            f"nobody else could hand on {', '.join(map(str, lost))}; let somebody else in first"
        )


def check_nothing_is_lost(tx: Transaction, before: frozenset[Right], *, now: datetime) -> None:
    """Ask after something changed within this transaction, with what was held before it.

    Raises:
        LastAdministrator: some of that nobody could hand on any more.
    """
    staying = [held_by(user.rights, tx.setting) for user in tx.lock_users() if user.is_able]
    staying += [
        known_rights(token.rights)
        for token in tx.lock_api_tokens()
        if not _ends_by(token, now + STAYS)
    ]
    if lost := lost_without(before, staying):
        raise LastAdministrator(
            f"nobody could hand on {', '.join(map(str, lost))}; let somebody else in first"
        )


def _ends_by(token: ApiToken, at: datetime) -> bool:
    return token.expires_at is not None and token.expires_at <= at
