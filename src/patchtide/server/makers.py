"""Whoever decides, looked at once more inside the transaction of the decision.

A request is let in before its turn at the writer comes. Who is shut out in between must decide
nothing any more: what he made then would stay, and nobody would look for it.
"""

from __future__ import annotations

from datetime import datetime

from patchtide.domain.access.principals import Anonymous, Principal, SessionHolder, SignedIn
from patchtide.domain.access.rights import Right, beyond
from patchtide.domain.errors import Refused, Unauthenticated
from patchtide.server.authentication import known_rights
from patchtide.server.ports.decisions import Transaction
from patchtide.server.role_book import held_by


def check_still_let_in(tx: Transaction, principal: Principal, *, now: datetime) -> None:
    """Ask before anything is decided; until the end of the transaction the answer stays true.

    Raises:
        Unauthenticated: the session or the token has ended, or its person was disabled.
        Refused: rights that the principal was let in with were taken away.
    """
    if isinstance(principal, Anonymous) or _only_begins(principal):
        return
    if lost := beyond(principal.rights, _held(tx, principal, now)):
        raise Refused(f"you have lost meanwhile: {', '.join(map(str, lost))}")


def held_now(tx: Transaction, actor: str, *, now: datetime) -> frozenset[Right]:
    """Return what somebody may do who does not ask herself now; nothing if she could not ask.

    Until the end of the transaction the answer stays true.
    """
    kind, _, id = actor.partition(":")
    if kind == "user":
        user = tx.lock_user(id)
        if user is None or not user.is_able:
            return frozenset()
        return held_by(user.rights, tx.setting)
    return _of_token(tx, id, now) or frozenset()


def _only_begins(principal: SignedIn) -> bool:
    """Say whether this is a sign-in, which looks at its person by itself."""
    return isinstance(principal, SessionHolder) and not principal.session


def _held(tx: Transaction, principal: SignedIn, now: datetime) -> frozenset[Right]:
    if isinstance(principal, SessionHolder):
        user = tx.lock_user(principal.user_id)
        # In this order: sessions are ended by whoever has locked their person.
        if user is None or not user.is_able or not tx.has_session(principal.session):
            raise Unauthenticated
        return held_by(user.rights, tx.setting)
    held = _of_token(tx, principal.token_id, now)
    if held is None:
        raise Unauthenticated
    return held


def _of_token(tx: Transaction, id: str, now: datetime) -> frozenset[Right] | None:
    token = tx.lock_api_token(id)
    if token is None or (token.expires_at is not None and now >= token.expires_at):
        return None
    return known_rights(token.rights)
