"""Passwords as use cases handle them: checked, hashed in threads, few at a time.

A slow hash is a lever for whoever wants to tire a server out. So only a few are made at once,
and beyond a short queue the answer is that the server is busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from patchtide.domain.access.passwords import weaknesses
from patchtide.domain.errors import InvalidDocument, Problem, Unavailable
from patchtide.server.ports.accounts import Passwords

T = TypeVar("T")
AT_ONCE = 2
WAITING = 20


class PasswordDesk:
    """Makes and checks password hashes beside the event loop."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._nobodys: str | None = None

    async def hashed(self, password: str, *, name: str) -> str:
        """Return the hash of a password that somebody has chosen.

        Raises:
            InvalidDocument: it is too weak, with every reason.
            Unavailable: too many wait already.
        """
        if found := weaknesses(password, name=name):
            raise InvalidDocument([Problem("password", what) for what in found])
        return await self._slowly(lambda: self._passwords.hashed(password))

    async def matches(self, password_hash: str, password: str) -> bool:
        """Compare; without a hash take as long, so that nobody learns who has an account."""
        return await self._slowly(lambda: self._matches(password_hash, password))

    async def renewed(self, password_hash: str, password: str) -> str | None:
        """Return a stronger hash of a password that matches this one, if there is one."""
        if not self._passwords.is_weak(password_hash):
            return None
        return await self._slowly(lambda: self._passwords.hashed(password))

    def _matches(self, password_hash: str, password: str) -> bool:
        if password_hash:
            return self._passwords.matches(password_hash, password)
        if self._nobodys is None:
            self._nobodys = self._passwords.hashed("nobody's password")
        self._passwords.matches(self._nobodys, password)
        return False

    async def _slowly(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise Unavailable("too many sign in at once")
        self._waiting += 1
        try:
            async with self._places:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1
