"""A node that stands still: it stops itself where it was told to, and goes on when it is let.

Run as `python paused.py URL WHERE`: `within` a decision, holding what it locked, or `between` two
of them, leading a synchronisation. It says that it stops, and in the end what came of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime

from patchtide.adapters.storage import Storage
from patchtide.domain.errors import StaleRevision
from patchtide.server.ports.decisions import Transaction
from patchtide.server.synchronisation_runs import begin, require_latest


def say(word: str) -> None:
    os.write(1, f"{word}\n".encode())


def stop() -> None:
    say("stops")
    os.kill(os.getpid(), signal.SIGSTOP)


async def within(storage: Storage) -> None:
    def work(tx: Transaction) -> None:
        tx.lock_setting("owner")
        stop()
        tx.put_setting("owner", b"paused")
        tx.note("owner")

    await storage.decide("paused", "settings.put", work, now=datetime.now(UTC))


async def between(storage: Storage) -> None:
    now = datetime.now(UTC)
    run = await storage.decide(
        "paused",
        "catalog.synchronise",
        lambda tx: begin(
            tx, node="paused", by="test", full=True, now=now, is_lost=lambda last: False
        ),
        now=now,
    )
    stop()

    def work(tx: Transaction) -> None:
        require_latest(tx, run)
        tx.put_setting("dispatched", b"paused")
        tx.note("dispatched")

    await storage.decide("paused", "settings.put", work, now=now)


async def main(url: str, where: str) -> None:
    storage = Storage.open(url)
    try:
        await {"within": within, "between": between}[where](storage)
    except StaleRevision:
        say("refused")
    else:
        say("done")
    await storage.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
