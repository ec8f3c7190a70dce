"""The one-time code that lets somebody claim a fresh server. What counts lives in memory only.

A request from the machine itself needs the code too: behind a proxy on the same host everybody
comes from loopback, and every local account does. Who may read the server's files has the code.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable

from patchtide.domain.access.credentials import hash_of


class BootstrapCode:
    """At most one taker; a code that nobody issued takes nobody."""

    def __init__(self, code: str | None, *, spent: Callable[[], None] = lambda: None) -> None:
        """`spent` is told when the code has done its work, or never can any more."""
        self._hash = None if code is None else hash_of(code)
        self.spent = spent

    @classmethod
    def issue(cls, *, spent: Callable[[], None] = lambda: None) -> tuple[BootstrapCode, str]:
        """Return it with its text, which the caller shows to the administrator once."""
        text = secrets.token_hex(16)
        return cls(text, spent=spent), text

    @property
    def is_open(self) -> bool:
        return self._hash is not None

    def take(self, text: str) -> bytes | None:
        """Use the code up; None when it is another one, or was taken."""
        held = self._hash
        if held is None or not hmac.compare_digest(held, hash_of(text)):
            return None
        self._hash = None
        return held

    def give_back(self, taken: bytes) -> None:
        """What it was taken for could not be stored: it may be tried again."""
        self._hash = taken
