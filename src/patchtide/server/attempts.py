"""How often somebody may fail: counted by where he comes from and by whom he wants to be.

An attempt is paid for before it is made and given back when it succeeds, so that many at once
are not cheaper than one after the other. An address is shut out long before a name is; and whoever
signed in from an address before gets in from there, however many guess his password elsewhere.

Addresses and names are counted apart: whoever has many of the one must not make the other
forgotten. A network of IPv6 is one address, as whoever has one of it has all.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from patchtide.domain.access.callers import caller_key
from patchtide.domain.errors import TooMuch

KEPT = 10_000
BURST = 5.0
NAME_BURST = 20.0
PER_S = 1 / 30


class TooManyAttempts(TooMuch):
    """Too many failed attempts; try again in a few minutes."""

    code = "too-many-attempts"


@dataclass(slots=True)
class _Allowances:
    """What is left to each; the one longest unused is forgotten first."""

    burst: float
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def level(self, key: str, now: float) -> float:
        left, since = self._left.get(key, (self.burst, now))
        return min(self.burst, left + max(0.0, now - since) * PER_S)

    def add(self, key: str, amount: float, now: float) -> None:
        self._left[key] = (min(self.burst, self.level(key, now) + amount), now)
        self._left.move_to_end(key)
        _forget(self._left)


class Attempts:
    """Allowances of failures of this node."""

    def __init__(self) -> None:
        self._peers = _Allowances(BURST)
        self._names = _Allowances(NAME_BURST)
        self._welcome: OrderedDict[tuple[str, str], None] = OrderedDict()

    def take(self, *, peer: str, name: str = "", now: datetime) -> None:
        """Pay for one attempt.

        Raises:
            TooManyAttempts: the address, or the name, has none left.
        """
        at, asked = now.timestamp(), self._asked(caller_key(peer), name)
        if any(allowances.level(key, at) < 1 for allowances, key in asked):
            raise TooManyAttempts
        for allowances, key in asked:
            allowances.add(key, -1, at)

    def succeeded(self, *, peer: str, name: str = "", now: datetime) -> None:
        """Give the attempt back, and remember who came from where."""
        at, caller = now.timestamp(), caller_key(peer)
        for allowances, key in self._asked(caller, name):
            allowances.add(key, 1, at)
        if name:
            self._welcome[caller, name] = None
            self._welcome.move_to_end((caller, name))
            _forget(self._welcome)

    def _asked(self, caller: str, name: str) -> tuple[tuple[_Allowances, str], ...]:
        of_peer = (self._peers, caller)
        is_known = not name or (caller, name) in self._welcome
        return (of_peer,) if is_known else (of_peer, (self._names, name))


def _forget(kept: OrderedDict[Any, Any]) -> None:
    while len(kept) > KEPT:
        kept.popitem(last=False)
