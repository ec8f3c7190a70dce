"""The database was put back from a backup, and somebody says so.

From within a database its own past cannot be told from its present. What happened since the
backup was taken is in machines, in published files and in nothing here.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.server.context import Call
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input


class MarkRestored(Input, kw_only=True, frozen=True):
    numbers_above: Annotated[
        int,
        Meta(
            ge=0,
            lt=1 << 31,
            description="The highest update number that any machine has seen, where it is known.",
        ),
    ] = 0


async def mark_restored(call: Call, principal: Principal, asked: MarkRestored) -> None:
    """Begin a new epoch; each node notices within seconds and reads again what it remembers."""

    def work(tx: Transaction) -> None:
        tx.begin_epoch(numbers_above=asked.numbers_above)
        tx.note("database", numbers_above=asked.numbers_above)

    await call.decide(principal, work)
