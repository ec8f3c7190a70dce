"""Whom a session stands for, and what she may do in it: asked of the database at every request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from patchtide.domain.access.credentials import hash_of
from patchtide.domain.access.principals import SessionHolder
from patchtide.domain.access.rights import Right
from patchtide.domain.access.second_factor import Owed, is_privileged, owed
from patchtide.domain.errors import Unauthenticated
from patchtide.server.context import Context
from patchtide.server.ports.accounts import Session, User
from patchtide.server.ports.reading import Lookups
from patchtide.server.role_book import held_by
from patchtide.server.second_factor import is_required

IDLE = timedelta(minutes=15)
LONGEST = timedelta(hours=12)
TOUCHED_EVERY = timedelta(seconds=60)
"""Last use is noted no more often than this, so a session may idle out that much too early."""


@dataclass(frozen=True, slots=True)
class _Found:
    session: Session
    user: User
    rights: frozenset[Right]
    is_required: bool
    """The second factor, of who administers anything."""


async def holder_of(context: Context, secret: str, *, is_use: bool) -> SessionHolder:
    """Return whom the session stands for. `is_use`: a person did something, so it goes on.

    Raises:
        Unauthenticated: unknown, ended, idle for too long or disabled, all alike.
    """
    secret_hash, now = hash_of(secret), context.clock.now()
    found = await asyncio.to_thread(_look, context.lookups, secret_hash)
    if found is None:
        raise Unauthenticated
    session = found.session
    is_over = now >= session.began_at + LONGEST or now >= session.seen_at + IDLE
    if is_over or found.user.disabled_at is not None:
        raise Unauthenticated
    if is_use and now - session.seen_at >= TOUCHED_EVERY:
        # Nothing is decided: no event, no audit entry.
        await context.decisions.decide(
            f"user:{found.user.id}",
            "sessions.touch",
            lambda tx: tx.touch_session(secret_hash, at=now),
            now=now,
        )
    return _holder(found)


def _look(lookups: Lookups, secret_hash: bytes) -> _Found | None:
    found = lookups.session(secret_hash)
    if found is None:
        return None
    session, user = found
    rights = held_by(user.rights, lookups.setting)
    return _Found(session, user, rights, is_required(lookups.setting))


def _holder(found: _Found) -> SessionHolder:
    session, privileged = found.session, is_privileged(found.rights)
    owes = owed(
        has_key=session.has_key,
        has_shown=session.keyed_at is not None,
        is_privileged=privileged,
        is_required=found.is_required,
    )
    return SessionHolder(
        user_id=found.user.id,
        name=found.user.name,
        rights=found.rights if owes is Owed.NOTHING else frozenset(),
        session=session.secret_hash,
        proved_at=session.proved_at,
        has_key=session.has_key,
        is_privileged=privileged,
        owes=owes,
    )
