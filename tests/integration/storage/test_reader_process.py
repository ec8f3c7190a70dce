"""What a crowd reported is read by a process of its own, or here where there is none."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.compliance.states import Tally
from patchtide.entry.server.reader_process import ReaderProcess
from patchtide.server.fleet import Fleet
from patchtide.server.member import Said
from patchtide.server.told_rows import UNREAD, said
from tests.simulator.catalogs import Catalog, a_leaf, a_scan, an_update_id
from tests.simulator.clock import FakeClock
from tests.simulator.processes import command_of, own_children
from tests.simulator.reports import NOON, a_report, enrolled

pytestmark = pytest.mark.anyio
WITHIN_S = 30.0
CROWD = 4


@dataclass
class Read:
    """A storage whose rows are read beside it, once as many are asked for as make a crowd."""

    storage: Storage
    beside: ReaderProcess
    clients: list[int]

    def here(self) -> list[Said]:
        return [said(row) for row in self.storage.states_of(self.clients)]

    def until_it_reads(self) -> Sequence[Said]:
        deadline = time.monotonic() + WITHIN_S
        while (told := self.beside(self.clients)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return told


@pytest.fixture
async def read(database_url: str) -> AsyncIterator[Read]:
    storage = Storage.open(database_url)
    beside = ReaderProcess(database_url, crowd=CROWD, quiet_s=0.0)
    yield Read(storage, beside, [client.number for client in await enrolled(storage, CROWD)])
    beside.close()
    await storage.close()


def reading() -> list[int]:
    """Return this process's children that read rows."""
    return own_children("patchtide.entry.reader")


async def test_what_is_read_beside_is_what_is_read_here_torn_rows_too(read: Read) -> None:
    first, second, third, torn = read.clients
    scans = [
        a_report(first, 1, required=[1, 70_000, 2**32 - 1], installed=range(2, 400)),
        a_scan(second, 1, serial=7, installed=[3]),
        a_report(third, 1, scan="failed", has_states=False),
        replace(a_report(torn, 1), required=b"\xff"),
    ]
    await read.storage.accept(scans, now=NOON.timestamp())

    told = read.until_it_reads()

    assert list(told) == read.here()
    assert [said.scan_error for said in told if said.client == torn] == [UNREAD]


async def test_without_the_process_the_fleet_is_followed_all_the_same(
    read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = Catalog(read.storage)
    await catalog.publish([a_leaf(1, "openssl")])
    fleet = Fleet(read.storage, catalog, FakeClock(NOON), patience_s=10, beside=read.beside)
    update = an_update_id("openssl")

    def counted() -> Tally:
        return fleet.ask(lambda view: view.tally_of(view.update(update)))

    assert counted() == Tally(unknown=CROWD)
    read.until_it_reads()
    now = NOON.timestamp()
    await read.storage.accept([a_scan(c, 1, required=[1]) for c in read.clients], now=now)
    assert counted() == Tally(required=CROWD)

    os.kill(reading()[0], signal.SIGKILL)
    await read.storage.accept([a_scan(c, 2, installed=[1]) for c in read.clients], now=now)

    assert counted() == Tally(installed=CROWD)
    assert caplog.text.count("read within the server") == 1
    assert reading() == []


async def test_the_process_begins_with_a_crowd_and_ends_when_it_has_gone(
    read: Read, database_url: str
) -> None:
    assert read.beside(read.clients[1:]) is None
    assert reading() == []

    read.until_it_reads()
    [pid] = reading()
    assert database_url.encode() not in command_of(pid)

    assert read.beside(read.clients[:1]) is None
    assert (reading(), read.beside.is_beside) == ([], False)

    read.until_it_reads()
    read.beside.close()
    assert (read.beside(read.clients), reading()) == (None, [])
