"""What every journal of the agent promises: the one on disk and the one in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from patchtide.adapters.agentstate.memory import MemoryJournal
from patchtide.adapters.agentstate.sqlite import SqliteJournal, open_journal
from patchtide.agent.ports.journal import (
    EVENTS_KEPT,
    Journal,
    PendingReport,
    ShardChange,
    ShardHead,
    States,
)
from patchtide.wire.messages import EventV1

LINEAGE = bytes(16)


@pytest.fixture(params=["sqlite", "memory"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    if request.param == "memory":
        yield MemoryJournal()
        return
    opened, _ = open_journal(tmp_path / "state" / "journal.db", boot_id="b1")
    yield opened
    opened.close()


def some_states(tag: bytes = b"\x01") -> States:
    return States(lineage=LINEAGE, digest=tag * 32, required=tag, installed=b"\x02", unknown=b"")


def a_report(**changes: object) -> PendingReport:
    fields: dict[str, object] = {
        "counter": 7, "body": b"report", "states": some_states(), "full": True,
        "restored": False, "events_to": 0, **changes,
    }  # fmt: skip
    return PendingReport(**fields)  # type: ignore[arg-type]


def a_change(serial: int, *numbers: int, drops: tuple[int, ...] = (), whole: bool = False):  # type: ignore[no-untyped-def]
    return ShardChange(
        head=ShardHead(lineage=LINEAGE, serial=serial),
        upserts=[(n, serial, b"leaf %d" % n) for n in numbers],
        drops=drops,
        whole=whole,
    )


def test_a_new_journal_remembers_nothing(journal: Journal) -> None:
    assert journal.load() is None
    assert journal.pending() is None
    assert journal.acknowledged() is None
    assert journal.shards() == {}


def test_the_brain_is_read_back_as_it_was_saved(journal: Journal) -> None:
    journal.save(b"one", durable=True)
    journal.save(b"two", durable=False)

    assert journal.load() == b"two"


def test_counters_rise_strictly_through_a_jump(journal: Journal) -> None:
    before = [journal.take_counter() for _ in range(600)]
    journal.jump_counter(5000)
    after = [journal.take_counter() for _ in range(600)]

    assert before == sorted(set(before)) and after == sorted(set(after))
    assert before[-1] < 5000 <= after[0]


def test_a_jump_backwards_changes_nothing(journal: Journal) -> None:
    last = [journal.take_counter() for _ in range(300)][-1]
    journal.jump_counter(2)

    assert journal.take_counter() > last


def test_an_acknowledged_report_becomes_the_known_state(journal: Journal) -> None:
    journal.queue(a_report())
    assert journal.pending() == a_report()

    journal.acknowledge()

    assert journal.pending() is None
    assert journal.acknowledged() == some_states()


def test_a_report_without_states_leaves_the_known_state(journal: Journal) -> None:
    journal.queue(a_report())
    journal.acknowledge()
    journal.queue(a_report(counter=8, states=None))
    journal.acknowledge()

    assert journal.acknowledged() == some_states()


def test_a_newer_report_replaces_the_queued_one(journal: Journal) -> None:
    journal.queue(a_report())
    journal.queue(a_report(counter=9))

    assert journal.pending() == a_report(counter=9)


def test_events_are_told_only_with_the_report_that_carries_them(journal: Journal) -> None:
    notes = [EventV1(at=n, code="restored") for n in range(3)]
    journal.save(b"", durable=True, notes=notes)
    first, second, _ = journal.events(10)
    journal.queue(a_report(events_to=second[0]))
    assert first in journal.events(10)

    journal.acknowledge()

    assert [event.at for _, event in journal.events(10)] == [2]


def test_a_dropped_report_tells_no_events(journal: Journal) -> None:
    journal.save(b"", durable=True, notes=[EventV1(at=1, code="restored")])
    journal.queue(a_report(events_to=journal.events(1)[0][0]))

    journal.drop_pending()

    assert journal.pending() is None
    assert len(journal.events(10)) == 1


def test_untold_events_push_out_the_oldest(journal: Journal) -> None:
    notes = [EventV1(at=n, code="restored") for n in range(EVENTS_KEPT + 10)]
    for start in range(0, len(notes), 101):
        journal.save(b"", durable=False, notes=notes[start : start + 101])

    kept = [event.at for _, event in journal.events(2 * EVENTS_KEPT)]

    assert kept == list(range(10, EVENTS_KEPT + 10))


def test_a_shard_follows_its_changes(journal: Journal) -> None:
    journal.change_shard("custom", a_change(1, 1, 2, 3, whole=True))
    journal.change_shard("custom", a_change(2, 3, 4, drops=(1,)))

    assert [row[:2] for row in journal.leaves("custom")] == [(2, 1), (3, 2), (4, 2)]
    assert journal.shards()["custom"] == ShardHead(lineage=LINEAGE, serial=2)


def test_a_whole_shard_replaces_what_was_there(journal: Journal) -> None:
    journal.change_shard("custom", a_change(1, 1, 2, whole=True))
    journal.change_shard("custom", a_change(9, 5, whole=True))

    assert [row[0] for row in journal.leaves("custom")] == [5]


def test_shards_do_not_touch_each_other(journal: Journal) -> None:
    journal.change_shard("custom", a_change(1, 1, whole=True))
    journal.change_shard("debian-12", a_change(1, 2, whole=True))

    assert [row[0] for row in journal.leaves("custom")] == [1]


def test_envelope_and_fragments_are_replaced_together(journal: Journal) -> None:
    assert journal.policy() == (b"", {})
    journal.keep_policy(b"one", {b"a": b"A", b"b": b"B"})
    journal.keep_policy(b"two", {b"b": b"B"})

    assert journal.policy() == (b"two", {b"b": b"B"})


@pytest.fixture
def reopen(tmp_path: Path) -> Callable[[str], SqliteJournal]:
    def opened(boot_id: str) -> SqliteJournal:
        return SqliteJournal(tmp_path / "journal.db", boot_id=boot_id)

    return opened


@pytest.mark.parametrize("boot_id", ["b1", "b2"], ids=["process crash", "power cut"])
def test_no_counter_returns_after_a_crash(
    reopen: Callable[[str], SqliteJournal], boot_id: str
) -> None:
    first = reopen("b1")
    used = [first.take_counter() for _ in range(300)]
    first.close()

    assert reopen(boot_id).take_counter() > used[-1]
