"""A database that was put back from a backup, as far as its own rows tell."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from patchtide.server.ports.decisions import Transaction


async def mark_restored(storage: Any, *, now: datetime, numbers_above: int = 0) -> None:
    def work(tx: Transaction) -> None:
        tx.begin_epoch(numbers_above=numbers_above)
        tx.note("database", numbers_above=numbers_above)

    await storage.decide("admin", "site.mark-restored", work, now=now)
