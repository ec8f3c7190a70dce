"""What a vendor names no more: expired, shown for a while, removed; or named again and back."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from patchtide.domain.catalog.details import UpdateDetails
from patchtide.server.expiry import ExpiredUpdates, Holder
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.feed import FeedContent
from patchtide.server.ports.update_lists import StoredList
from tests.integration.catalog.node import Node, node
from tests.integration.catalog.test_synchronisation import SHARD, FakeFeed, a_synchronisation
from tests.integration.catalog.test_synchronisation import updates as told

pytestmark = pytest.mark.anyio


@dataclass
class Naming:
    """Something that names updates, as a list does."""

    named: frozenset[UUID] = frozenset()

    def held(self, updates: Collection[UUID]) -> Collection[UUID]:
        return [one for one in updates if one in self.named]


class Site:
    def __init__(self, here: Node) -> None:
        self.here = here
        self.feed = FakeFeed(told(openssl="2", curl="3"))
        self.names = Naming()
        self.synchronisation = a_synchronisation(here, self.feed)
        self.upkeep = ExpiredUpdates(
            decisions=here.storage,
            reading=here.storage,
            holders=[
                Holder(held=self.names.held, held_in=lambda tx: self.names.held),
                Holder(
                    held=here.storage.update_lists.held, held_in=lambda tx: tx.update_lists.held
                ),
            ],
            clock=here.clock,
            kept=timedelta(days=7),
        )

    def known(self) -> dict[str, UpdateDetails]:
        return {details.title: details for details in self.here.storage.update_details()}

    def numbers(self) -> dict[str, tuple[int, int]]:
        """Return number and revision of every leaf that is published, by its title."""
        serial = self.here.index(SHARD).serial
        stored = self.here.storage.leaves(SHARD, at=serial)
        known = {details.update.bytes: title for title, details in self.known().items()}
        return {known[x.update]: (x.number, x.revision) for x in stored}


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with node(database_url, tmp_path / "here") as here:
        made = Site(here)
        await made.synchronisation.run("maria")
        made.feed.updates = told(curl="3")
        yield made


async def test_only_a_full_synchronisation_expires(site: Site) -> None:
    await site.synchronisation.run("maria", full=False)
    before = set(site.numbers())
    await site.synchronisation.run("maria")

    assert before == {"openssl 2", "curl 3"} and set(site.numbers()) == {"curl 3"}
    known = site.known()
    assert known["openssl 2"].expired_at == site.here.clock.now()
    assert known["curl 3"].expired_at is None


async def test_it_is_removed_after_its_days_unless_something_names_it(site: Site) -> None:
    await site.synchronisation.run("maria")
    site.names.named = frozenset({site.known()["openssl 2"].update})
    site.here.clock.advance(days=7)
    await site.upkeep.step()
    held = set(site.known())
    site.names.named = frozenset()
    site.here.clock.advance(seconds=-1)
    await site.upkeep.step()
    waiting = set(site.known())
    site.here.clock.advance(seconds=1)
    await site.upkeep.step()

    assert held == waiting == {"openssl 2", "curl 3"}
    assert set(site.known()) == {"curl 3"}


async def test_one_that_is_put_on_a_list_at_the_last_moment_stays(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.synchronisation.run("maria")
    storage, now = site.here.storage, site.here.clock.now()
    openssl = site.known()["openssl 2"].update
    made = StoredList(name="kept", note="", by="maria", at=now)
    decide = storage.decide

    def put_on(tx: Transaction) -> None:
        tx.update_lists.add_list(made)
        tx.update_lists.put_on("kept", [openssl])

    async def late(*asked: Any, **how: Any) -> Any:
        await decide("maria", "lists.add", put_on, now=now)
        return await decide(*asked, **how)

    monkeypatch.setattr(storage, "decide", late)
    site.here.clock.advance(days=7)
    await site.upkeep.step()

    assert "openssl 2" in site.known()
    assert storage.update_lists.held([openssl]) == {openssl}


async def test_one_that_is_named_again_is_the_same_again(site: Site) -> None:
    number, revision = site.numbers()["openssl 2"]
    await site.synchronisation.run("maria")
    site.feed.updates = told(openssl="2", curl="3")
    await site.synchronisation.run("maria", full=False)
    site.here.clock.advance(days=30)
    await site.upkeep.step()

    assert site.numbers()["openssl 2"] == (number, revision + 1)
    assert site.known()["openssl 2"].expired_at is None
    assert site.known()["openssl 2"].revision == 1


async def test_what_its_vendor_took_back_expires_though_it_is_named(site: Site) -> None:
    back = site.here.clock.now()
    site.feed.updates = tuple(
        replace(update, details=replace(update.details, expired_at=back))
        for update in told(openssl="2", zip="1")
    )

    await site.synchronisation.run("maria")

    assert site.known()["openssl 2"].expired_at == back
    assert set(site.known()) == {"openssl 2", "curl 3"}, "zip was never heard of before"
    assert site.numbers() == {}


async def test_a_feed_that_tells_the_same_is_not_even_read(site: Site) -> None:
    site.feed.stamp = b"same"
    await site.synchronisation.run("maria")
    entries = site.here.storage.newest_audit(limit=1)[0].sequence
    reads = site.feed.reads
    again = await site.synchronisation.run("maria")
    delta = await site.synchronisation.run("maria", full=False)

    assert site.feed.reads == reads
    assert site.here.storage.newest_audit(limit=1)[0].sequence == entries
    assert (again.updates, again.changed, delta.updates) == (1, {}, 1)


async def test_the_collector_holds_nobody_while_a_feed_is_compared_and_works_again_after(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    read = site.feed.read

    def watched(*, now: datetime) -> FeedContent:
        seen.append(gc.isenabled())
        return read(now=now)

    monkeypatch.setattr(site.feed, "read", watched)
    await site.synchronisation.run("maria")

    assert seen == [False] and gc.isenabled()
