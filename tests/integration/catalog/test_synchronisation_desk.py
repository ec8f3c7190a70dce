"""Synchronisations one at a time, by the hour and on demand, with a history that outlives all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from patchtide.adapters.feeds.errors import FeedUnreachable
from patchtide.domain.catalog.details import Classification
from patchtide.domain.errors import Unavailable, WrongState
from patchtide.server import synchronisation_runs
from patchtide.server.synchronisation import Synchronisation
from patchtide.server.synchronisation_desk import RENEW, Progress, SynchronisationDesk
from patchtide.server.synchronisation_plan import SCHEDULE, SELECTION, SaidChoice, SaidSchedule
from patchtide.server.synchronisation_runs import renew
from tests.integration.catalog.node import Interruptible, Node, node
from tests.integration.catalog.test_synchronisation import FakeFeed, updates
from tests.simulator.clock import FakeClock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def here(database_url: str, tmp_path: Path) -> AsyncIterator[Node]:
    async with node(database_url, tmp_path / "here") as made:
        yield made


class Site:
    """A desk over a real database; another one over the same is another node's."""

    def __init__(self, here: Node, name: str = "here") -> None:
        self.feed = FakeFeed(updates(openssl="2", curl="3"))
        self.clock = FakeClock()
        self._here = here
        progress = Progress()
        self.desk = SynchronisationDesk(
            synchronisation=Synchronisation(
                feed=self.feed,
                reading=here.storage,
                decisions=here.storage,
                publisher=here.catalog,
                details=here.details,
                clock=self.clock,
                heard=progress.note,
            ),
            stop=self.feed.go_on.set,
            progress=progress,
            decisions=here.storage,
            lookups=here.storage,
            clock=self.clock,
            node=name,
        )

    async def begin(self, *, full: bool = True) -> None:
        def decide(work: Any) -> Any:
            return self._here.storage.decide(
                "maria", "catalog.synchronise", work, now=self.clock.now()
            )

        await self.desk.begin(decide, by="maria", full=full)

    async def pass_time(self, **span: float) -> None:
        self.clock.advance(**span)
        await self.desk.step()
        await self.desk.close()

    def told(self) -> list[tuple[str, str]]:
        return [(run.by, run.state) for run in reversed(self.desk.runs())]


async def test_what_came_of_it_is_written_down(here: Node) -> None:
    site = Site(here)
    await site.begin()
    await site.desk.close()

    (run,) = site.desk.runs()
    assert (run.number, run.by, run.state, run.updates) == (1, "maria", "done", 2)
    assert (run.new, run.revised, run.gone) == (2, 0, 0)
    assert run.as_of == site.feed.signed_at.timestamp()


async def test_it_is_due_every_hour_and_an_hour_after_a_failure_until_one_is_done(
    here: Node,
) -> None:
    site = Site(here)
    await site.pass_time()
    await site.pass_time(minutes=59)
    first = site.told()
    site.feed.broken = FeedUnreachable("no way there")
    await site.pass_time(minutes=1)
    await site.pass_time(minutes=59)
    await site.pass_time(minutes=1)
    site.feed.broken = None
    await site.pass_time(hours=1)

    assert first == [("system", "done")]
    assert [state for _, state in site.told()] == ["done", "failed", "failed", "done"]
    failed = site.desk.runs()[1]
    assert (failed.code, failed.error) == ("feed-unreachable", "no way there")


async def test_one_feed_of_several_that_failed_is_tried_again_alone_within_the_hour(
    here: Node,
) -> None:
    site = Site(here)
    schedule = msgspec.msgpack.encode(SaidSchedule(every_h=3))
    await here.storage.decide(
        "maria",
        "catalog.reschedule",
        lambda tx: tx.put_setting(SCHEDULE, schedule),
        now=site.clock.now(),
    )
    site.feed.failed = ("rpm:/el9",)
    await site.pass_time()
    await site.pass_time(minutes=59)
    site.feed.broken = FeedUnreachable("still no way there")
    await site.pass_time(minutes=1)
    await site.pass_time(hours=1)
    site.feed.broken, site.feed.failed = None, ()
    await site.pass_time(hours=1)
    await site.pass_time(hours=1)

    runs = list(reversed(site.desk.runs()))
    assert [(run.state, run.feeds, run.failed) for run in runs] == [
        ("done", (), ("rpm:/el9",)),
        ("failed", ("rpm:/el9",), ()),
        ("failed", ("rpm:/el9",), ()),
        ("done", (), ()),  # its turn by the schedule, which is of all feeds
    ]
    assert [sorted(wanted.feeds) for wanted in site.feed.wanted] == [
        [], ["rpm:/el9"], ["rpm:/el9"], [],
    ]  # fmt: skip


async def test_one_on_demand_brings_what_is_new_and_puts_no_full_one_off(here: Node) -> None:
    site = Site(here)
    await site.pass_time()
    site.clock.advance(minutes=50)
    site.feed.updates = updates(curl="3", git="1")
    await site.begin(full=False)
    await site.desk.close()
    on_demand = site.desk.runs()[0]
    await site.pass_time(minutes=10)
    scheduled = site.desk.runs()[0]

    assert (on_demand.full, on_demand.new, on_demand.gone) == (False, 1, 0)
    assert (scheduled.by, scheduled.full, scheduled.new, scheduled.gone) == ("system", True, 0, 1)


async def test_a_schedule_says_when_and_one_without_a_time_never(here: Node) -> None:
    site = Site(here)
    await here.storage.decide(
        "maria", "test",
        lambda tx: tx.put_setting(SCHEDULE, msgspec.msgpack.encode(SaidSchedule())),
        now=site.clock.now(),
    )  # fmt: skip

    await site.pass_time(days=400)

    assert site.told() == [] and site.desk.next() is None


async def test_of_a_feed_only_what_was_chosen_comes_and_the_rest_leaves(here: Node) -> None:
    site = Site(here)
    await site.pass_time()
    choices = {"": SaidChoice(classifications=(Classification.GENERAL,))}
    await here.storage.decide(
        "maria", "test",
        lambda tx: tx.put_setting(SELECTION, msgspec.msgpack.encode(choices)),
        now=site.clock.now(),
    )  # fmt: skip

    await site.pass_time(hours=1)

    run = site.desk.runs()[0]
    assert (run.updates, run.left_out, run.gone) == (0, 2, 2)


async def test_a_second_one_is_refused_here_and_at_another_node(here: Node) -> None:
    site, other = Site(here), Site(here, "elsewhere")
    site.feed.held = True
    await site.begin()

    with pytest.raises(WrongState, match="running already"):
        await site.begin()
    with pytest.raises(WrongState, match="another node"):
        await other.begin()
    await other.desk.step()
    assert other.told() == [("maria", "running")]
    await site.desk.close()


async def test_one_whose_server_died_was_interrupted_and_is_no_obstacle(here: Node) -> None:
    dying, elsewhere = Site(here), Site(here, "elsewhere")
    dying.feed.held = True
    await dying.begin()
    reborn = Site(here)

    assert reborn.told() == [("maria", "interrupted")]
    assert elsewhere.told() == [("maria", "running")]
    elsewhere.clock.advance(minutes=2)
    assert elsewhere.told() == [("maria", "interrupted")]
    await reborn.pass_time(minutes=10)
    assert reborn.told() == [("maria", "interrupted"), ("system", "done")]
    await dying.desk.close()


@pytest.mark.parametrize("ahead", [-3, 3])
async def test_nodes_whose_clocks_differ_do_not_take_each_other_for_lost(
    here: Node, ahead: int
) -> None:
    site, elsewhere = Site(here), Site(here, "elsewhere")
    elsewhere.clock.advance(minutes=ahead)
    site.feed.held = True
    await site.begin()
    [run] = site.desk.runs()
    for _ in range(4):
        for each in (site, elsewhere):
            each.clock.advance(minutes=1.9)
        await here.storage.decide(
            "system",
            "catalog.synchronising",
            partial(renew, run=run, now=site.clock.now(), step="", done=0, of=0),
            now=site.clock.now(),
        )
        await elsewhere.desk.step()
    before = elsewhere.told()
    await site.desk.close()
    await elsewhere.desk.step()

    assert before == [("maria", "running")]
    assert elsewhere.told() == [("maria", "done")]


async def test_a_renewal_that_failed_is_made_up_for(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synchronisation_runs, "RENEWED_EVERY", timedelta(milliseconds=20))
    site = Site(here)
    site.feed.held = True
    renewed = asyncio.Event()

    def before(operation: str, number: int) -> None:
        if operation == RENEW:
            if renewals.count > 2:
                renewed.set()
            raise Unavailable("database is locked")

    renewals = Interruptible(here.storage, before=before)
    site.desk.decisions = renewals
    await site.begin()
    await asyncio.wait_for(renewed.wait(), 10)
    await site.desk.close()

    assert site.told() == [("maria", "done")]


async def test_of_what_feeds_say_of_themselves_a_thousand_letters_are_kept(here: Node) -> None:
    site = Site(here)
    site.feed.note = "x" * 1_000_000
    await site.pass_time()

    assert site.desk.runs()[0].note == "x" * 1_000


async def test_one_that_was_given_up_for_lost_changes_nothing_any_more(here: Node) -> None:
    slow, elsewhere = Site(here), Site(here, "elsewhere")
    slow.feed.held = True
    slow.feed.updates = updates(openssl="1")
    await slow.begin()
    await elsewhere.desk.step()
    await elsewhere.pass_time(minutes=10)
    await slow.desk.close()

    late, done = reversed(slow.desk.runs())
    assert (late.state, late.code, done.state) == ("failed", "stale-revision", "done")
    titles = {details.title for details in here.storage.update_details()}
    assert titles == {"openssl 2", "curl 3"}


async def test_how_far_it_is_is_told_while_it_runs_here_and_elsewhere(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synchronisation_runs, "RENEWED_EVERY", timedelta(milliseconds=20))
    site, other = Site(here), Site(here, "elsewhere")
    site.feed.held = True
    await site.begin()
    site.desk.progress.note("describing", 3, 7)
    seen = site.desk.last()
    for _ in range(200):
        await asyncio.sleep(0.02)
        far = other.desk.last()
        if far is not None and far.of:
            break

    assert seen is not None and (seen.step, seen.done, seen.of) == ("describing", 3, 7)
    assert far is not None and (far.step, far.done, far.of) == ("describing", 3, 7)
    await site.desk.close()


async def test_the_history_is_paged_and_kept_for_thirteen_months(here: Node) -> None:
    site = Site(here)
    for _ in range(3):
        await site.pass_time(hours=1)
    last = site.clock.now().timestamp()

    assert [run.number for run in site.desk.runs(limit=2)] == [3, 2]
    assert [run.number for run in site.desk.runs(before=2)] == [1]
    await here.storage.trim(now=last + 395 * 86_400)
    assert len(site.desk.runs()) == 3
    await here.storage.trim(now=last + 396 * 86_400 - 1)
    assert [run.number for run in site.desk.runs()] == [3]


async def test_without_a_feed_nothing_is_synchronised(here: Node) -> None:
    site = Site(here)
    site.desk.synchronisation = None
    await site.desk.step()

    with pytest.raises(WrongState, match="--feed"):
        await site.begin()
    assert site.told() == []
