"""A process that reports until it is killed: says each report only once it is durable.

Run as `python reporter.py URL CLIENT...`; prints `client counter` a line, one write each, so
that a kill tears no line that was promised, and `beside` once a process beside it takes them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from datetime import UTC, datetime

from patchtide.adapters.storage import Storage
from patchtide.entry.server.reporter_process import ReporterProcess
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.reports import Outcome
from tests.simulator.reports import a_report


async def report_for_ever(storage: Storage, client: int, counter: int) -> None:
    for number in itertools.count(counter + 1):
        report = a_report(client, number, required=[number], installed=[client])
        [answer] = await storage.accept([report], now=float(number))
        assert answer.outcome is Outcome.ACCEPTED, answer
        os.write(1, f"{client} {number}\n".encode())


async def decide_for_ever(storage: Storage) -> None:
    for number in itertools.count():

        def work(tx: Transaction, number: int = number) -> None:
            tx.put_setting("decided", str(number).encode())
            tx.note("decided", number=number)

        await storage.decide("crash", "settings.put", work, now=datetime.now(UTC))


async def say_when_there_is(beside: ReporterProcess) -> None:
    while not beside.is_beside:
        await asyncio.sleep(0.01)
    os.write(1, b"beside\n")


async def main(url: str, clients: list[int]) -> None:
    beside = ReporterProcess(url, crowd=2)
    storage = Storage.open(url, beside=beside)
    counters = {s.number: s.counter for s in storage.standings_after(0, limit=1000)}
    work = [report_for_ever(storage, client, counters[client]) for client in clients]
    await asyncio.gather(decide_for_ever(storage), say_when_there_is(beside), *work)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], [int(argument) for argument in sys.argv[2:]]))
