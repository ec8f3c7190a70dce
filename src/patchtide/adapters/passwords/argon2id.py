"""Argon2id of libsodium: 64 MiB and three passes a password, as RFC 9106 has it for servers."""

from __future__ import annotations

import re

from nacl import pwhash
from nacl.exceptions import CryptoError

PASSES = 3
MEMORY_BYTES = 64 << 20
_EFFORT = re.compile(r"\$argon2id\$v=19\$m=(\d+),t=(\d+),p=1\$", re.ASCII)


class Argon2Passwords:
    def __init__(self, *, passes: int = PASSES, memory_bytes: int = MEMORY_BYTES) -> None:
        self._passes = passes
        self._memory_bytes = memory_bytes

    def hashed(self, password: str) -> str:
        made = pwhash.argon2id.str(
            password.encode(), opslimit=self._passes, memlimit=self._memory_bytes
        )
        return made.decode("ascii")

    def matches(self, password_hash: str, password: str) -> bool:
        if _EFFORT.match(password_hash) is None:
            return False
        try:
            return pwhash.argon2id.verify(password_hash.encode("ascii"), password.encode())
        except CryptoError:
            return False

    def is_weak(self, password_hash: str) -> bool:
        effort = _EFFORT.match(password_hash)
        if effort is None:
            return True
        return int(effort[1]) << 10 < self._memory_bytes or int(effort[2]) < self._passes
