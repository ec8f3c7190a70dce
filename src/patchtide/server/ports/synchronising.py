"""What a synchronisation writes to, each in its own way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from patchtide.domain.catalog.details import UpdateDetails
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.updates import UpdateId
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.feed import VendorIndex


class Publisher(Protocol):
    async def publish(
        self,
        actor: str,
        shard: str,
        *,
        leaves: Sequence[Leaf] = (),
        drops: Sequence[int] = (),
        expected_serial: int | None = None,
    ) -> object: ...


Fence = Callable[[Transaction], object]
"""Raises StaleRevision in a transaction of whoever must not write any more."""


class DetailsKeeper(Protocol):
    async def keep(
        self, updates: Iterable[UpdateDetails], *, only_new: bool, fence: Fence
    ) -> None: ...

    async def expire(self, updates: Collection[UpdateId], *, fence: Fence) -> None: ...


class VendorKeeper(Protocol):
    def keep(
        self,
        vendors: Mapping[str, Sequence[VendorIndex]],
        now: datetime,
        *,
        check: Callable[[], None],
    ) -> int:
        """Keep these; return how many files of older ones were removed."""
        ...
