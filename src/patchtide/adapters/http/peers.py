"""Connections by address."""

from __future__ import annotations


class Peers:
    """How many connections each address holds."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def arrive(self, peer: str) -> int:
        self._held[peer] = self._held.get(peer, 0) + 1
        return self._held[peer]

    def held(self, peer: str) -> int:
        return self._held.get(peer, 0)

    def leave(self, peer: str) -> None:
        left = self._held.get(peer, 0) - 1
        if left > 0:
            self._held[peer] = left
        else:
            self._held.pop(peer, None)
