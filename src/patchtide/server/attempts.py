"""How often somebody may fail: counted by where he comes from and by whom he wants to be.

An attempt is paid for before it is made and given back when it succeeds, so that many at once
are not cheaper than one after the other. An address is shut out long before a name is; and whoever
signed in from an address before gets in from there, however many guess his password elsewhere.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Any

from patchtide.domain.errors import TooMuch

KEPT = 10_000
BURST = 5.0
NAME_BURST = 20.0
PER_S = 1 / 30

_Key = tuple[str, str]


class TooManyAttempts(TooMuch):
    """Too many failed attempts; try again in a few minutes."""

    code = "too-many-attempts"


class Attempts:
    """Allowances of failures of this node; the one longest unused is forgotten first."""

    def __init__(self) -> None:
        self._left: OrderedDict[_Key, tuple[float, float]] = OrderedDict()
        self._welcome: OrderedDict[_Key, None] = OrderedDict()

    def take(self, *, peer: str, name: str = "", now: datetime) -> None:
        """Pay for one attempt.

        Raises:
            TooManyAttempts: the address, or the name, has none left.
        """
        at = now.timestamp()
        levels = {key: self._level(key, at) for key in self._keys(peer, name)}
        if min(levels.values()) < 1:
            raise TooManyAttempts
        for key, level in levels.items():
            self._put(key, level - 1, at)

    def succeeded(self, *, peer: str, name: str = "", now: datetime) -> None:
        """Give the attempt back, and remember who came from where."""
        at = now.timestamp()
        for key in self._keys(peer, name):
            self._put(key, min(_burst(key), self._level(key, at) + 1), at)
        if name:
            self._welcome[peer, name] = None
            self._welcome.move_to_end((peer, name))
            _forget(self._welcome)

    def _keys(self, peer: str, name: str) -> tuple[_Key, ...]:
        is_known = not name or (peer, name) in self._welcome
        return (("peer", peer),) if is_known else (("peer", peer), ("name", name))

    def _level(self, key: _Key, now: float) -> float:
        left, since = self._left.get(key, (_burst(key), now))
        return min(_burst(key), left + max(0.0, now - since) * PER_S)

    def _put(self, key: _Key, level: float, now: float) -> None:
        self._left[key] = (level, now)
        self._left.move_to_end(key)
        _forget(self._left)


def _burst(key: _Key) -> float:
    return NAME_BURST if key[0] == "name" else BURST


def _forget(kept: OrderedDict[_Key, Any]) -> None:
    while len(kept) > KEPT:
        kept.popitem(last=False)
