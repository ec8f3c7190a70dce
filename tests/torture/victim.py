"""The process that is killed, starved and cut off: a real agent core on a real journal.

Its server lives in the same process and says what it sees on standard output, line by line, so
that whoever does the killing knows what had been promised before:

    open LOST        the journal is open (LOST: 1 if it had to be begun anew)
    queued COUNTER   the journal said that the report is stored
    sent COUNTER BODY-HASH
    known COUNTER    the journal said that the acknowledgement is stored
    serial N         the journal said that the shard is stored
    failed CODE      the journal refused; the process ends with status 70
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from patchtide.adapters.agentstate.sqlite import SqliteJournal, open_journal
from patchtide.agent.core import AgentCore
from patchtide.agent.parts import Ports
from patchtide.agent.policy import Orders
from patchtide.agent.ports.journal import JournalFailed, PendingReport, ShardChange, ShardHead
from patchtide.agent.ports.link import Answer, News, Outgoing, Taken
from patchtide.agent.ports.trust import TrustEvent
from patchtide.agent.reporting import ScanResult, states_of
from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer.states import Order
from patchtide.wire.messages import CheckInAnswerV1

LINEAGE = bytes(16)
SHARD = "custom"
JOURNAL_FAILED = 70


class Witness:
    """Says what happened, and stops dead at the line that was asked for."""

    def __init__(self, stop_after: int) -> None:
        self._left = stop_after

    def __call__(self, *words: object) -> None:
        os.write(1, (" ".join(map(str, words)) + "\n").encode())
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGSTOP)


class WatchedJournal:
    """The real journal; what it promises is said aloud once it has promised it."""

    def __init__(self, journal: SqliteJournal, say: Witness) -> None:
        self._journal = journal
        self._say = say

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return getattr(self._journal, name)

    def queue(self, report: PendingReport) -> None:
        self._journal.queue(report)
        self._say("queued", report.counter)

    def acknowledge(self) -> None:
        pending = self._journal.pending()
        assert pending is not None
        self._journal.acknowledge()
        self._say("known", pending.counter)

    def change_shard(self, shard: str, change: ShardChange) -> None:
        self._journal.change_shard(shard, change)
        self._say("serial", change.head.serial)


class Server:
    """Publishes a newer shard at every check-in and takes every report."""

    def __init__(self, journal: WatchedJournal, say: Witness) -> None:
        self._journal = journal
        self._say = say

    def check_in(self, message: Outgoing) -> Answer:
        self._sent(message)
        return News(CheckInAnswerV1(next_poll_s=60, shards={SHARD: _serial(self._journal) + 1}))

    def report(self, message: Outgoing) -> Answer:
        self._sent(message)
        return Taken()

    inventory = report

    def _sent(self, message: Outgoing) -> None:
        self._say("sent", message.counter, sha256(message.body).hexdigest())


class Catalog:
    def __init__(self, journal: WatchedJournal, leaf_bytes: int) -> None:
        self._journal = journal
        self._leaf_bytes = leaf_bytes

    def serials(self) -> Mapping[str, int]:
        return {SHARD: _serial(self._journal)}

    def refresh(self, newer: Mapping[str, int], *, now: float, root_version: int = 0) -> None:
        serial = newer[SHARD]
        leaf = b"x" * self._leaf_bytes
        change = ShardChange(
            head=ShardHead(lineage=LINEAGE, serial=serial),
            upserts=[(n, serial, leaf) for n in range(serial, serial + 20)],
            drops=[serial - 20],
        )
        self._journal.change_shard(SHARD, change)

    def take_events(self) -> Sequence[TrustEvent]:
        return ()

    def scan(self, *, now: float) -> ScanResult:
        numbers = [row[0] for row in self._journal.leaves(SHARD)]
        states = states_of(LINEAGE, required=numbers, installed=[], unknown=[])
        shards = {SHARD: _serial(self._journal)}
        return ScanResult(states=states, shards=shards, scan="completed", at=int(now), boot_id="b")

    def seen(self) -> Mapping[str, bytes]:
        return {}


class Machine:
    """Has no orders and changes nothing."""

    def __init__(self, boot_id: str) -> None:
        self._boot_id = boot_id

    def sequence(self) -> int:
        return 0

    def take(self, envelope: bytes, *, now: float) -> Orders:
        return Orders((), 0)

    def boot_id(self) -> str:
        return self._boot_id

    def restart_pending(self) -> bool:
        return False

    def consent(self, order: Order, *, now: float) -> None: ...

    def download(self, order: Order) -> None: ...

    def tidy(self, orders: Iterable[Order]) -> None: ...

    def stage(self, order: Order, *, now: float) -> None: ...

    def install(self, order: Order, *, now: float) -> ev.Installed:
        return ev.Installed(restart_needed=False)

    def repair(self) -> None: ...

    def restart(self) -> None: ...

    def inventory(self, kind: str) -> bytes | None:
        return None

    def now(self) -> float:
        return 1_772_450_000.0


def _serial(journal: WatchedJournal) -> int:
    head = journal.shards().get(SHARD)
    return head.serial if head else 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--boot-id", default="b1")
    parser.add_argument("--cycles", type=int, default=2)
    parser.add_argument("--leaf-bytes", type=int, default=200)
    parser.add_argument("--stop-after", type=int, default=0)
    asked = parser.parse_args()
    say = Witness(asked.stop_after)
    try:
        opened, lost = open_journal(asked.folder / "journal.db", boot_id=asked.boot_id)
        say("open", int(lost))
        journal = WatchedJournal(opened, say)
        machine = Machine(asked.boot_id)
        ports = Ports(
            journal=journal,
            link=Server(journal, say),
            catalog=Catalog(journal, asked.leaf_bytes),
            policy=machine,
            enforcer=machine,
            inventory=machine,
            clock=machine,
        )
        core = AgentCore(ports, seed=bytes(16))
        core.start()
        if lost:
            core.note("state-lost")
        for _ in range(asked.cycles):
            core.step(ev.Rung())
        opened.close()
    except JournalFailed as error:
        say("failed", error.code)
        return JOURNAL_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
