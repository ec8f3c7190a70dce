"""A node learns from the log what another one has published."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.server.catalog_following import CatalogFollower
from tests.integration.catalog.node import Node, a_leaf, node
from tests.simulator.clock import START
from tests.simulator.restoring import mark_restored

pytestmark = pytest.mark.anyio
FEED = "debian-12"


@pytest.fixture
async def here(database_url: str, tmp_path: Path) -> AsyncIterator[Node]:
    async with node(database_url, tmp_path / "here") as made:
        yield made


def follower_of(node: Node) -> CatalogFollower:
    return CatalogFollower(
        following=node.storage, serials=node.catalog.serials, published=node.told.append
    )


async def test_another_node_learns_of_new_serials_from_the_log(
    here: Node, database_url: str, tmp_path: Path
) -> None:
    async with node(database_url, tmp_path / "here") as other:
        follower = follower_of(other)
        await follower.step()
        other.told.clear()

        await here.publish(FEED, a_leaf("nginx"))
        await follower.step()
        await follower.step()
        await here.publish("custom", a_leaf("curl"))
        await here.publish(FEED, a_leaf("perl"))
        await follower.step()

    assert other.told == [{FEED: 1}, {FEED: 2, "custom": 1}]


async def test_decisions_about_other_things_are_no_news(here: Node) -> None:
    follower = follower_of(here)
    await follower.step()
    here.told.clear()

    await here.storage.decide("a", "things.change", lambda tx: tx.note("x"), now=START)
    await follower.step()

    assert here.told == []


async def test_after_a_restore_a_node_reads_the_serials_anew(here: Node) -> None:
    await here.publish(FEED, a_leaf("nginx"))
    follower = follower_of(here)
    await follower.step()
    here.told.clear()

    await mark_restored(here.storage, now=START)
    await follower.step()

    assert here.told == [{FEED: 1}]


async def test_what_follows_is_asked_in_pages(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patchtide.server.catalog_following.PAGE", 2)
    follower = follower_of(here)
    await follower.step()
    here.told.clear()
    for name in ("nginx", "curl", "perl"):
        await here.publish(FEED, a_leaf(name))
    here.told.clear()

    await follower.step()

    assert here.told == [{FEED: 3}]
    assert UpdateNumber(3) in {x.number for x in here.storage.leaves(FEED, at=3)}


@pytest.mark.parametrize("failing", ["serials", "published"])
async def test_news_that_could_not_be_told_are_told_by_the_next_step(
    here: Node, failing: str
) -> None:
    follower = follower_of(here)
    await follower.step()
    await here.publish(FEED, a_leaf("nginx"))
    here.told.clear()
    works = getattr(follower, failing)

    def fails(*_: object) -> None:
        raise OSError("the disk is away for a moment")

    setattr(follower, failing, fails)
    with pytest.raises(OSError):
        await follower.step()
    setattr(follower, failing, works)
    await follower.step()
    await follower.step()

    assert here.told == [{FEED: 1}]
