"""A crowd's reports are stored by a process of its own, or here where there is none."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.errors import InvalidDocument
from patchtide.entry.server.reporter_process import ReporterProcess
from patchtide.server.ports.reports import Accepted, IncomingReport, Outcome
from tests.simulator.processes import command_of, own_children
from tests.simulator.reports import a_report, enrolled

pytestmark = pytest.mark.anyio
WITHIN_S = 30.0
CROWD = 4
ACCEPTED = Accepted(Outcome.ACCEPTED)


@dataclass
class Busy:
    """A storage that has as many reports at once as make a crowd."""

    storage: Storage
    beside: ReporterProcess
    clients: list[int]
    counter: int = 0

    def reports(self) -> list[IncomingReport]:
        self.counter += 1
        return [a_report(client, self.counter, required=[self.counter]) for client in self.clients]

    async def until_it_is_asked(self) -> int:
        """Return the number of the process, once it stores the reports."""
        deadline = time.monotonic() + WITHIN_S
        while not self.beside.is_beside:
            assert time.monotonic() < deadline
            assert await self.storage.accept(self.reports(), now=1.0) == [ACCEPTED] * CROWD
        [pid] = reporting()
        return pid


@pytest.fixture
async def busy(database_url: str) -> AsyncIterator[Busy]:
    beside = ReporterProcess(database_url, crowd=CROWD, quiet_s=0.0)
    storage = Storage.open(database_url, beside=beside)
    yield Busy(storage, beside, [client.number for client in await enrolled(storage, CROWD)])
    await storage.close()


def reporting() -> list[int]:
    """Return this process's children that take reports."""
    return own_children("patchtide.entry.reporter")


async def test_what_the_process_stored_is_answered_and_read_as_ever(busy: Busy) -> None:
    pid = await busy.until_it_is_asked()
    before = busy.storage.epoch()
    fresh, again, old, torn = busy.reports()
    again = replace(again, counter=again.counter - 1, digest=busy.storage.states()[1].digest)
    old = replace(old, counter=1)
    torn = replace(torn, base=bytes(32))

    answers = await busy.storage.accept([fresh, again, old, torn], now=2.0)

    assert answers == [
        ACCEPTED,
        Accepted(Outcome.REPEATED),
        Accepted(Outcome.STALE_COUNTER, busy.counter),
        Accepted(Outcome.NEED_FULL),
    ]
    assert [d.client for d in busy.storage.deltas(before)[1]] == [fresh.client]
    assert reporting() == [pid]


async def test_without_the_process_every_report_is_still_stored(
    busy: Busy, caplog: pytest.LogCaptureFixture
) -> None:
    os.kill(await busy.until_it_is_asked(), signal.SIGKILL)

    for _ in range(3):
        assert await busy.storage.accept(busy.reports(), now=2.0) == [ACCEPTED] * CROWD

    assert {row.counter for row in busy.storage.states()} == {busy.counter}
    assert caplog.text.count("stored within the server") == 1
    assert reporting() == []


async def test_what_cannot_be_stored_ends_neither_the_process_nor_what_follows(busy: Busy) -> None:
    await busy.until_it_is_asked()
    good, *_ = busy.reports()
    bad = replace(good, client=busy.clients[1], scanned_at=2**63)

    with pytest.raises((OverflowError, InvalidDocument)):
        await busy.storage.accept([bad] * CROWD, now=2.0)

    assert busy.beside.is_beside
    assert await busy.storage.accept([good], now=2.0) == [ACCEPTED]


async def test_no_command_line_tells_where_the_database_is(busy: Busy, database_url: str) -> None:
    assert database_url.encode() not in command_of(await busy.until_it_is_asked())


async def test_the_process_ends_when_the_crowd_has_gone(busy: Busy) -> None:
    await busy.until_it_is_asked()
    [report, *_] = busy.reports()

    assert await busy.storage.accept([report], now=2.0) == [ACCEPTED]

    assert (reporting(), busy.beside.is_beside) == ([], False)


async def test_a_few_reports_begin_no_process(busy: Busy) -> None:
    assert await busy.storage.accept(busy.reports()[1:], now=1.0) == [ACCEPTED] * (CROWD - 1)
    assert reporting() == []
