"""A history of facts in which nothing ever changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from patchtide.server.ports.fact_history import ChangedInventory, KeptChange


class NoFactHistory:
    def changed(self, *, client: int | None = None, limit: int) -> Sequence[ChangedInventory]:
        return []

    def kept(self, client: int) -> Sequence[KeptChange]:
        return []

    def bodies(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return {}
