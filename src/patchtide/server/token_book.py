"""Which enrolment tokens exist, kept in memory: whoever only guesses never reaches the database.

Enrolling is a write, and the writer is one for all. So a token that nobody issued is refused
before the writer hears of it. Whether one that exists may still be used is decided there alone.
"""

from __future__ import annotations

import asyncio

from patchtide.domain.errors import Unavailable
from patchtide.server.ports.clients import EnrolmentToken
from patchtide.server.ports.reading import Lookups

GATHER_S = 0.1
WAITING_LIMIT = 500


class TokenBook:
    """The tokens as they were last read, by id and hash of the secret."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self._known: dict[tuple[str, bytes], EnrolmentToken] = {}
        self._asked: set[str] = set()
        self._waiting = 0
        self._next: asyncio.Task[None] | None = None

    async def found(self, token_id: str, secret_hash: bytes) -> EnrolmentToken | None:
        """Return it as it was made, used up and expired ones included; None: there is none.

        Raises:
            Unavailable: too many unknown tokens are being tried at once.
        """
        if (token_id, secret_hash) in self._known:
            return self._known[token_id, secret_hash]
        if self._waiting >= WAITING_LIMIT:
            raise Unavailable("too many unknown tokens at once")
        self._waiting += 1
        try:
            await self._read_again(token_id)
        finally:
            self._waiting -= 1
        return self._known.get((token_id, secret_hash))

    async def _read_again(self, token_id: str) -> None:
        """Return after a read that began later than now: the token may have been made just now.

        However many guess, there is one read each `GATHER_S`.
        """
        self._asked.add(token_id)
        if self._next is None:
            self._next = asyncio.create_task(self._read())
        await asyncio.shield(self._next)

    async def _read(self) -> None:
        await asyncio.sleep(GATHER_S)
        asked, self._asked, self._next = self._asked, set(), None
        tokens = await asyncio.to_thread(self._lookups.enrolment_tokens, sorted(asked))
        others = {key: token for key, token in self._known.items() if key[0] not in asked}
        self._known = others | {(token.id, token.secret_hash): token for token in tokens}
