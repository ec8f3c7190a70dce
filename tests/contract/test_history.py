"""The fleet's history is what was counted, once for all nodes, and never what nobody counted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.collections.definitions import Definition
from patchtide.server.fleet import Fleet
from patchtide.server.history import History, HistoryDay, told
from patchtide.server.history_curves import Subject, live
from patchtide.server.history_recorder import COUNT, HistoryRecorder
from patchtide.server.ports.clients import Client
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.reports import IncomingReport, Presence
from patchtide.server.ports.update_lists import StoredList
from patchtide.wire.messages import HealthV1, encode
from tests.simulator.catalogs import Catalog, a_leaf, a_scan, an_update_id, some_details
from tests.simulator.clock import FakeClock
from tests.simulator.reports import NOON, enrolled

pytestmark = pytest.mark.anyio
SILENT_AFTER = timedelta(hours=3)
TODAY = NOON.date()


class Site:
    """A storage with a catalog of two updates, a clock, and nodes that count."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.clock = FakeClock(NOON)
        self.catalog = Catalog(storage)
        self.fleet = Fleet(storage, self.catalog, self.clock, patience_s=10)
        self.here = self.node("here")
        self.counters: dict[int, int] = {}

    def node(self, name: str) -> HistoryRecorder:
        return HistoryRecorder(
            fleet=self.fleet,
            source=self.storage,
            decisions=self.storage,
            clock=self.clock,
            node=name,
            silent_after=lambda: SILENT_AFTER,
        )

    async def begin(self, machines: int) -> list[Client]:
        details = [some_details("openssl"), some_details("curl")]
        await self.catalog.publish([a_leaf(1, "openssl"), a_leaf(2, "curl")], details=details)
        return await enrolled(self.storage, machines)

    async def report(self, client: Client, **states: Any) -> None:
        count = self.counters[client.number] = self.counters.get(client.number, 0) + 1
        one: IncomingReport = a_scan(client.number, count, **states)
        await self.storage.accept([one], now=self.clock.now().timestamp())

    async def waits(self, client: Client) -> None:
        health = encode(HealthV1(restart_pending=True))
        seen = self.clock.now().timestamp()
        heard = Presence(client=client.number, counter=1, seen_at=seen, health=health)
        await self.storage.flush_presence([heard])

    async def decide(self, operation: str, subject: str, **more: Any) -> None:
        def work(tx: Transaction) -> None:
            tx.note(subject)

        await self.storage.decide(more.get("by", "anna"), operation, work, now=self.clock.now())

    async def make_list(self, name: str, *updates: str) -> None:
        self.clock.advance(seconds=1)
        made = StoredList(name=name, note="", by="anna", at=self.clock.now())

        def work(tx: Transaction) -> None:
            tx.update_lists.add_list(made)
            tx.update_lists.put_on(name, [an_update_id(one) for one in updates])
            tx.note(name)

        await self.storage.decide("anna", "lists.create", work, now=self.clock.now())

    async def rename_list(self, name: str, to: str) -> None:
        def work(tx: Transaction) -> None:
            tx.update_lists.rename_list(name, to)
            tx.note(name, to=to)

        await self.storage.decide("anna", "lists.rename", work, now=self.clock.now())

    async def collect(self, name: str, *, machines: Sequence[Client] = (), query: str = "") -> UUID:
        definition = Definition(id=uuid4(), name=name, query=query)
        made = StoredCollection(definition=definition, revision=1, by="anna", at=self.clock.now())

        def work(tx: Transaction) -> None:
            tx.collections.add(made)
            tx.collections.put_in(made.id, [one.number for one in machines])
            tx.note(made.id.hex, name=name)

        await self.storage.decide("anna", "collections.create", work, now=self.clock.now())
        return made.id

    async def drop(self, collection: UUID) -> None:
        """Delete it, and the list `spring`."""

        def work(tx: Transaction) -> None:
            tx.collections.drop(collection)
            tx.note(collection.hex)

        def work_on_list(tx: Transaction) -> None:
            tx.update_lists.drop_list("spring")
            tx.note("spring")

        now = self.clock.now()
        await self.storage.decide("anna", "collections.delete", work, now=now)
        await self.storage.decide("anna", "lists.delete", work_on_list, now=now)

    def history(self, *, days: int = 30, **of: Any) -> History:
        curve = live(self.fleet, SILENT_AFTER, of=Subject(**of))
        return told(self.storage.fleet_history, curve, now=self.clock.now(), days=days)


@pytest.fixture
def site(storage: Storage) -> Site:
    return Site(storage)


def figures(day: HistoryDay) -> tuple[int | None, ...]:
    return day.compliant, day.required, day.restart, day.unknown


async def test_each_day_has_its_last_count_and_today_is_counted_as_it_is_asked_for(
    site: Site,
) -> None:
    first, second, silent = await site.begin(3)
    await site.report(first, required=[1])
    await site.report(second, installed=[1, 2])
    assert await site.here.step()
    site.clock.advance(hours=7)
    await site.report(first, required=[1], installed=[2])
    assert await site.here.step()
    site.clock.advance(days=1)
    await site.report(first, installed=[1, 2])
    assert await site.here.step()
    await site.report(second, required=[1])

    found = site.history()

    assert [(day.date, figures(day), day.live) for day in found.items] == [
        (TODAY, (1, 1, 0, 1), False),
        (TODAY + timedelta(days=1), (1, 1, 0, 1), True),
    ]
    assert found.items[0].counted_at == NOON + timedelta(hours=7)
    assert found.items[0].doubts == {"never-reported": 1}
    assert found.known_since == TODAY
    on = site.history(update=an_update_id("openssl")).items
    assert [(*figures(day), day.installed) for day in on] == [(1, 1, 0, 1, 1), (1, 1, 0, 1, 1)]
    assert silent.number not in site.counters


async def test_a_day_on_which_no_server_counted_is_told_of_as_one(site: Site) -> None:
    [client] = await site.begin(1)
    await site.report(client, installed=[1, 2])
    await site.here.step()
    site.clock.advance(days=3)
    await site.here.step()

    days = site.history().items

    assert [day.counted_at is None for day in days] == [False, True, True, False]
    assert figures(days[1]) == (None, None, None, None)
    assert days[1].percent is None


async def test_of_two_nodes_that_find_it_is_time_one_counts(site: Site) -> None:
    [client] = await site.begin(1)
    await site.report(client, installed=[1, 2])
    there = site.node("there")

    counted = await asyncio.gather(site.here.step(), there.step())

    assert sorted(counted) == [False, True]
    assert not await site.here.step() and not await there.step()
    entries = [e for e in site.storage.audit(limit=500) if e.operation == COUNT]
    assert entries == []  # it decides nothing


async def test_a_node_that_was_too_slow_writes_nothing_over_what_another_one_counted(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    [client] = await site.begin(1)
    await site.report(client, installed=[1, 2])
    there, reached = site.node("there"), asyncio.Event()
    may_go_on = asyncio.Event()
    count = HistoryRecorder._count

    async def slow(self: HistoryRecorder, now: datetime) -> None:
        if self is site.here:
            reached.set()
            await may_go_on.wait()
        await count(self, now)

    monkeypatch.setattr(HistoryRecorder, "_count", slow)
    late = asyncio.create_task(site.here.step())
    await reached.wait()
    site.clock.advance(minutes=6)

    assert await there.step()
    may_go_on.set()
    assert not await late
    [day] = site.storage.fleet_history.days(first=TODAY, last=TODAY)
    assert day.at == NOON + timedelta(minutes=6)


async def test_a_clock_that_was_put_back_counts_nothing_twice_and_loses_nothing(
    site: Site,
) -> None:
    [client] = await site.begin(1)
    await site.report(client, required=[1])
    site.clock.advance(hours=13)  # after midnight
    await site.here.step()
    site.clock.advance(hours=-2)
    assert not await site.here.step()

    assert [day.live for day in site.history().items] == [True]
    site.clock.advance(days=1)
    assert await site.here.step()
    days = site.storage.fleet_history.recorded()
    assert days == [TODAY + timedelta(days=1)]


async def test_a_clock_that_was_years_ahead_removes_no_day(site: Site) -> None:
    [client] = await site.begin(1)
    await site.report(client, required=[1])
    await site.here.step()
    site.clock.advance(days=4000)
    await site.here.step()
    site.clock.advance(days=-3999)

    assert await site.here.step()
    days = [day.date for day in site.history().items if day.counted_at]
    assert days == [TODAY, TODAY + timedelta(days=1)]


async def test_a_list_is_as_its_machines_stand_on_all_of_it_and_keeps_its_past_under_a_new_name(
    site: Site,
) -> None:
    needs, waits, has, _silent = await site.begin(4)
    await site.make_list("spring", "openssl", "curl")
    await site.make_list("only-curl", "curl")
    await site.report(needs, required=[1], installed=[2])
    await site.report(waits, installed=[1])
    await site.report(has, installed=[2])
    await site.waits(waits)
    await site.here.step()

    await site.rename_list("spring", "all")
    site.clock.advance(days=1)

    assert [figures(day) for day in site.history(list="all").items] == [(1, 1, 1, 1)] * 2
    assert [figures(day) for day in site.history(list="only-curl").items] == [(3, 0, 0, 1)] * 2


async def test_decisions_that_move_counts_are_told_of_once_with_their_place_in_the_audit(
    site: Site,
) -> None:
    await site.begin(1)
    await site.here.step()
    await site.decide("machines.approve", "a")
    await site.decide("machines.approve", "b")
    await site.decide("tokens.create", "c")
    await site.decide("lists.add", "spring")
    await site.decide("catalog.publish", "custom")
    assert not await site.here.step()
    site.clock.advance(minutes=20)
    assert await site.here.step()
    site.clock.advance(hours=7)
    assert await site.node("there").step()

    changes = site.history().changes

    sequences = {(e.operation, e.subject): e.sequence for e in site.storage.audit(limit=500)}
    assert [(c.operation, c.subject, c.count, c.sequence) for c in changes] == [
        ("machines.approve", "", 2, sequences["machines.approve", "a"]),
        ("catalog.publish", "custom", 1, sequences["catalog.publish", "custom"]),
    ]


async def test_a_machine_that_came_back_from_an_old_copy_moves_no_day_that_is_written(
    site: Site,
) -> None:
    [client] = await site.begin(1)
    await site.report(client, installed=[1, 2])
    await site.here.step()
    site.clock.advance(days=1)
    await site.report(client, required=[1, 2])
    await site.here.step()

    assert [figures(day) for day in site.history().items] == [(1, 0, 0, 0), (0, 1, 0, 0)]


async def test_of_long_ago_the_last_day_of_each_month_is_kept(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patchtide.domain.compliance.history.DAILY", 3)
    await site.begin(1)
    for _ in range(34):
        await site.here.step()
        site.clock.advance(days=1)

    days = site.storage.fleet_history.recorded()

    ends = [day for day in days[:-3] if (day + timedelta(days=1)).month != day.month]
    assert len(days) == 4 and days[:-3] == ends
    assert days[-1] == (site.clock.now() - timedelta(days=1)).astimezone(UTC).date()
    last = max(date.fromordinal(days[-1].toordinal()), TODAY)
    place = site.storage.fleet_history.place(an_update_id("openssl"))
    assert place is not None
    assert [d for d, _ in site.storage.fleet_history.block(0, first=TODAY, last=last)] == days
