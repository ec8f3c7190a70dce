"""Somebody must stay who can hand on each right: asked before a token or a person leaves."""

from __future__ import annotations

from datetime import datetime, timedelta

from patchtide.domain.access.rights import Right, lost_without
from patchtide.domain.errors import WrongState
from patchtide.server.authentication import known_rights
from patchtide.server.ports.storage import ApiToken, Transaction

STAYS = timedelta(days=1)
"""A token that ends sooner keeps nobody from being locked out."""


class LastAdministrator(WrongState):
    """Nobody would be left who can hand on these rights."""

    code = "last-administrator"


def check_somebody_stays(
    tx: Transaction, *, leaving_token: str = "", leaving_user: str = "", now: datetime
) -> None:
    """Raises LastAdministrator when rights would be lost to everybody, for good."""
    tokens = {token.id: token for token in tx.lock_api_tokens()}
    users = {user.id: user for user in tx.lock_users() if user.is_able}
    token, user = tokens.pop(leaving_token, None), users.pop(leaving_user, None)
    leaving: set[Right] = set()
    if token is not None and not _ends_by(token, now):
        leaving |= known_rights(token.rights)
    if user is not None:
        leaving |= known_rights(user.rights)
    staying = [known_rights(t.rights) for t in tokens.values() if not _ends_by(t, now + STAYS)]
    staying += [known_rights(other.rights) for other in users.values()]
    if lost := lost_without(leaving, staying):
        raise LastAdministrator(
            f"nobody else could hand on {', '.join(map(str, lost))}; let somebody else in first"
        )


def _ends_by(token: ApiToken, at: datetime) -> bool:
    return token.expires_at is not None and token.expires_at <= at
