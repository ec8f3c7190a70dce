"""One node stands still (F43), holds what others need (F34), or two want each other's: PostgreSQL.

None waits for ever, nothing is done twice or by half, and who comes back too late is refused.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from patchtide.adapters.storage import Storage, engines
from patchtide.domain.errors import Unavailable
from patchtide.server.ports.decisions import Transaction
from patchtide.server.synchronisation_runs import LAST, LEASE, Watch, begin, read_last
from tests.simulator.databases import Postgres

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]
PAUSED = Path(__file__).with_name("paused.py")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def url(postgres_server: Postgres) -> Iterator[str]:
    with postgres_server.lent() as lent:
        yield lent


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LOCK_TIMEOUT_MS", 200)


@pytest.fixture
async def node(url: str) -> AsyncIterator[Storage]:
    opened = Storage.open(url)
    yield opened
    await opened.close()


class Paused:
    """Another node, which stands still until it is let go on."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert self.heard() == "stops"

    def goes_on(self) -> str:
        """Return what came of it."""
        self._process.send_signal(signal.SIGCONT)
        return self.heard()

    def heard(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def paused(url: str, where: str) -> Iterator[Paused]:
    process = subprocess.Popen(
        [sys.executable, str(PAUSED), url, where],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    with process:
        try:
            yield Paused(process)
        finally:
            process.kill()


def putting(name: str, value: bytes) -> Callable[[Transaction], bytes | None]:
    """Return what takes a setting for itself and replaces it; it returns what was there."""

    def work(tx: Transaction) -> bytes | None:
        before = tx.lock_setting(name)
        tx.put_setting(name, value)
        tx.note(name)
        return before

    return work


async def put(node: Storage, name: str, value: bytes) -> bytes | None:
    return await node.decide("test", "settings.put", putting(name, value), now=NOON)


@pytest.mark.usefixtures("impatience")
async def test_what_a_node_that_stands_still_has_locked_is_soon_given_up_and_nothing_else_waits(
    node: Storage, url: str
) -> None:
    await put(node, "owner", b"first")
    with paused(url, "within") as other:
        with pytest.raises(Unavailable):
            await put(node, "owner", b"refused")
        await put(node, "colour", b"blue")
        meanwhile = node.setting("owner")
        ended = other.goes_on()

    assert (meanwhile, ended) == (b"first", "done")
    assert await put(node, "owner", b"last") == b"paused"
    assert [entry.subject for entry in node.audit()] == ["owner", "colour", "owner", "owner"]
    assert node.verify_audit() is None


async def test_a_leader_that_stood_still_is_refused_once_another_one_leads(
    node: Storage, url: str
) -> None:
    watch = Watch()
    with paused(url, "between") as other:
        last = read_last(node.setting(LAST))
        assert last is not None and not watch.is_lost(last, NOON)
        run = await node.decide(
            "test",
            "catalog.synchronise",
            lambda tx: begin(
                tx, node="other", by="test", full=True, now=NOON,
                is_lost=lambda seen: watch.is_lost(seen, NOON + LEASE),
            ),
            now=NOON,
        )  # fmt: skip
        ended = other.goes_on()

    assert (run.number, ended, node.setting("dispatched")) == (2, "refused", None)
    assert [entry.operation for entry in node.audit()] == ["catalog.synchronise"] * 2


async def test_of_two_nodes_that_want_what_the_other_has_each_gets_it_once(
    node: Storage, url: str
) -> None:
    for name in ("left", "right"):
        await put(node, name, b"")
    both = threading.Barrier(2)

    def crossing(first: str, then: str) -> Callable[[Transaction], None]:
        is_first_try = iter((True,))

        def work(tx: Transaction) -> None:
            tx.lock_setting(first)
            if next(is_first_try, False):
                both.wait(10)
            tx.put_setting(then, (tx.lock_setting(then) or b"") + first[:1].encode())
            tx.note(then)

        return work

    other = Storage.open(url)
    await asyncio.gather(
        node.decide("one", "settings.put", crossing("left", "right"), now=NOON),
        other.decide("two", "settings.put", crossing("right", "left"), now=NOON),
    )
    await other.close()

    assert (node.setting("left"), node.setting("right")) == (b"r", b"l")
    assert len(node.audit()) == 4 and node.verify_audit() is None
