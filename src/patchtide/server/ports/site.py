"""What the agents' plane needs to know of the site it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Site(Protocol):
    """The site's name, trust root and the key that signs its answers."""

    @property
    def name(self) -> str: ...

    @property
    def answer_key(self) -> bytes:
        """Public Ed25519 key of `sign_answer`."""
        ...

    def sign_answer(self, base: bytes) -> bytes: ...

    def root(self) -> tuple[int, bytes]:
        """Return the newest trust root: its version and its bytes."""
        ...

    def serials(self) -> Mapping[str, int]:
        """Return every published shard with its current serial."""
        ...

    async def knows_metadata(self, role: str, digest: bytes) -> bool:
        """Say whether this site ever published that metadata (S44)."""
        ...
