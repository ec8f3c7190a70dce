"""Who asks: the bearer token of a request, and nothing else in it, makes a principal."""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from patchtide.domain.access.credentials import ApiTokenText, hash_of
from patchtide.domain.access.grants import come_to
from patchtide.domain.access.principals import TokenHolder
from patchtide.domain.access.rights import Right
from patchtide.domain.errors import Unauthenticated
from patchtide.server.ports.api_tokens import ApiToken
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.reading import Lookups

KEPT = timedelta(milliseconds=500)
MOST = 1024


@dataclass(frozen=True, slots=True)
class _Known:
    token: ApiToken
    since: datetime


class ApiTokens:
    """Looks tokens up, and remembers them so briefly that a revocation holds within a second."""

    def __init__(self, lookups: Lookups, clock: Clock) -> None:
        self._lookups = lookups
        self._clock = clock
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    def remembers(self, text: ApiTokenText) -> bool:
        """Say whether it was found just now, so that no lookup is needed."""
        return self._fresh(hash_of(text.secret)) is not None

    async def holder(self, text: ApiTokenText) -> TokenHolder:
        """Return whom the token stands for.

        Raises:
            Unauthenticated: unknown, revoked or expired, all alike.
        """
        secret_hash = hash_of(text.secret)
        token = self._fresh(secret_hash) or await self._look_up(secret_hash)
        if token is None or not hmac.compare_digest(token.id, text.id):
            raise Unauthenticated
        if token.revoked_at is not None or _is_over(token, self._clock.now()):
            raise Unauthenticated
        return TokenHolder(
            token_id=token.id,
            name=token.name,
            rights=known_rights(token.rights),
            expires_at=token.expires_at,
        )

    def forget(self) -> None:
        """Something about tokens was decided here: ask the database again."""
        self._known.clear()

    def _fresh(self, secret_hash: bytes) -> ApiToken | None:
        known = self._known.get(secret_hash)
        if known is None:
            return None
        # A clock that was set back must not make an old answer young for ever.
        is_fresh = timedelta(0) <= self._clock.now() - known.since < KEPT
        return known.token if is_fresh else None

    async def _look_up(self, secret_hash: bytes) -> ApiToken | None:
        asked_at = self._clock.now()
        token = await asyncio.to_thread(self._lookups.api_token, secret_hash)
        if token is None or not hmac.compare_digest(token.secret_hash, secret_hash):
            self._known.pop(secret_hash, None)
            return None
        self._known[secret_hash] = _Known(token, asked_at)
        self._known.move_to_end(secret_hash)
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return token


def _is_over(token: ApiToken, now: datetime) -> bool:
    return token.expires_at is not None and now >= token.expires_at


def known_rights(texts: Collection[str]) -> frozenset[Right]:
    """Leave out what this version has no word for: an unknown right allows nothing."""
    return come_to(texts, {})
