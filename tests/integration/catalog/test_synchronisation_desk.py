"""Synchronisations one at a time, by the hour and on demand, with a history that outlives all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from patchtide.adapters.feeds.errors import FeedUnreachable
from patchtide.domain.errors import WrongState
from patchtide.server.synchronisation import Synchronisation
from patchtide.server.synchronisation_desk import Progress, SynchronisationDesk
from tests.integration.catalog.node import Node, node
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

    async def begin(self) -> None:
        def decide(work: Any) -> Any:
            return self._here.storage.decide(
                "maria", "catalog.synchronise", work, now=self.clock.now()
            )

        await self.desk.begin(decide, by="maria", full=True)

    async def pass_time(self, **span: float) -> None:
        self.clock.advance(**span)
        await self.desk.step()
        await self.desk.close()

    def told(self) -> list[tuple[str, str]]:
        return [(run.by, run.state) for run in self.desk.runs()]


async def test_what_came_of_it_is_written_down(here: Node) -> None:
    site = Site(here)
    await site.begin()
    await site.desk.close()

    (run,) = site.desk.runs()
    assert (run.number, run.by, run.state, run.updates) == (1, "maria", "done", 2)
    assert (run.new, run.revised, run.gone) == (2, 0, 0)
    assert run.as_of == site.feed.signed_at.timestamp()


async def test_it_is_due_every_hour_and_sooner_after_a_failure(here: Node) -> None:
    site = Site(here)
    await site.pass_time()
    await site.pass_time(minutes=59)
    first = site.told()
    site.feed.broken = FeedUnreachable("no way there")
    await site.pass_time(minutes=1)
    await site.pass_time(minutes=9)
    site.feed.broken = None
    await site.pass_time(minutes=1)

    assert first == [("system", "done")]
    assert site.told() == [("system", "done"), ("system", "failed"), ("system", "done")]
    failed = site.desk.runs()[1]
    assert (failed.code, failed.error) == ("feed-unreachable", "no way there")


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
    elsewhere.clock.advance(hours=2)
    assert elsewhere.told() == [("maria", "interrupted")]
    await reborn.pass_time(minutes=10)
    assert reborn.told()[-1] == ("system", "done")
    await dying.desk.close()


async def test_how_far_it_is_is_told_while_it_runs(here: Node) -> None:
    site = Site(here)
    site.feed.held = True
    await site.begin()
    (run,) = site.desk.runs()

    assert site.desk.is_here(run) and site.desk.progress.step == "starting"
    await site.desk.close()
    assert site.desk.progress.step == "publishing"


async def test_without_a_feed_nothing_is_synchronised(here: Node) -> None:
    site = Site(here)
    site.desk.synchronisation = None
    await site.desk.step()

    with pytest.raises(WrongState, match="--feed"):
        await site.begin()
    assert site.told() == []
