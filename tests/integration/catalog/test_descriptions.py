"""What people read of updates: kept, learnt afterwards, never forgotten for the same version."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import pytest

from patchtide.adapters.feeds.errors import FeedUnreachable
from patchtide.domain.catalog.details import FeedUpdate, Severity
from patchtide.server import descriptions
from patchtide.server.fleet_view import View
from tests.integration.catalog.node import Node, node
from tests.integration.catalog.test_synchronisation import FakeFeed, updates

pytestmark = pytest.mark.anyio
TOLD = updates(openssl="2", curl="3", zip="4")


@pytest.fixture
async def here(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Node]:
    monkeypatch.setattr(descriptions, "BATCH", 1)
    async with node(database_url, tmp_path / "here") as made:
        yield made


@dataclass
class Changelogs(FakeFeed):
    """Knows the CVEs of all, but of those that are named."""

    lost: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        if self.broken:
            raise self.broken
        self.batches.append(len(updates))
        self.asked += [update.details.title for update in updates]
        return [self._described(update) for update in updates]

    def _described(self, update: FeedUpdate) -> FeedUpdate:
        if update.details.title in self.lost:
            return update
        details = replace(update.details, cves=("CVE-2026-1",), severity=Severity.IMPORTANT)
        return replace(update, details=details)


def cves(here: Node) -> dict[str, tuple[str, ...] | None]:
    return {details.title: details.cves for details in here.storage.update_details()}


async def test_each_is_described_once_and_stays_so(here: Node) -> None:
    feed = Changelogs()
    told = here.descriptions(feed)
    await told.keep(update.details for update in TOLD)
    await told.step()
    await told.keep(update.details for update in TOLD)
    await told.step()

    assert cves(here) == {u.details.title: ("CVE-2026-1",) for u in TOLD}
    assert sorted(feed.asked) == sorted(u.details.title for u in TOLD)
    assert told.waiting() == (0, 0)


async def test_one_that_nothing_can_be_learnt_of_is_asked_for_with_each_synchronisation(
    here: Node,
) -> None:
    feed = Changelogs(lost=frozenset({"zip 4"}))
    told = here.descriptions(feed)
    for _ in range(2):
        await told.keep(update.details for update in TOLD)
        await told.step()
        await told.step()

    assert feed.asked.count("zip 4") == 2 and feed.asked.count("curl 3") == 1
    assert cves(here)["zip 4"] is None


async def test_what_the_feed_tells_otherwise_is_kept_with_what_was_learnt(here: Node) -> None:
    told = here.descriptions(Changelogs())
    await told.keep(update.details for update in TOLD)
    await told.step()
    await told.keep(replace(update.details, product="Debian 12") for update in TOLD)

    found = here.storage.update_details()
    assert {(x.product, x.cves) for x in found} == {("Debian 12", ("CVE-2026-1",))}


async def test_one_that_expires_or_is_told_anew_while_it_is_described_stays_so(here: Node) -> None:
    told = here.descriptions(Changelogs())
    told._decisions = here.decisions
    await told.keep(update.details for update in TOLD)
    expired, anew = TOLD[0].details, replace(TOLD[1].details, product="Debian 13")

    async def meanwhile() -> None:
        await here.details.expire([expired.update])
        await here.details.keep([anew])

    def before(operation: str, number: int) -> object:
        here.decisions.before = None
        return meanwhile()

    here.decisions.before = before
    await told.step()

    found = {x.update: x for x in here.storage.update_details()}
    assert found[expired.update].expired_at
    assert found[anew.update].product == "Debian 13"


async def test_what_people_published_no_feed_tells_otherwise(here: Node) -> None:
    own = replace(TOLD[0].details, feed="publisher", licence="Terms of ours")
    await here.storage.decide(
        "admin", "x", lambda tx: tx.put_update_details([own]), now=here.clock.now()
    )
    await here.details.keep([TOLD[0].details])

    assert list(here.storage.update_details()) == [own]


async def test_many_are_described_in_few_readings_of_the_feed(here: Node) -> None:
    feed = Changelogs()
    told = here.descriptions(feed)
    many = updates(**{f"pkg{n}": "1" for n in range(20)})
    await told.keep(update.details for update in many)
    await told.step()

    assert feed.batches == [1, 2, 4, 8, 5]


async def test_a_server_that_has_just_started_leaves_it_for_a_while(here: Node) -> None:
    await here.details.keep(update.details for update in TOLD)
    feed = Changelogs()
    reborn = here.descriptions(feed)
    await reborn.step()
    before = list(feed.asked)
    here.clock.advance(seconds=31)
    await reborn.step()

    assert (before, len(feed.asked)) == ([], 3)


async def test_without_a_way_to_the_archive_it_waits_for_the_next_synchronisation(
    here: Node,
) -> None:
    feed = Changelogs(broken=FeedUnreachable())
    told = here.descriptions(feed)
    await told.keep(update.details for update in TOLD)
    await told.step()
    feed.broken = None
    await told.step()
    before = list(feed.asked)
    await told.keep(update.details for update in TOLD)
    await told.step()

    assert (before, len(feed.asked)) == ([], 3)


async def test_how_much_waits_can_be_asked_while_some_of_it_is_done(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = here.descriptions(Changelogs())
    told._waiting = {u.details.update: u.details for u in TOLD}

    def needs(view: View, update: UUID) -> int:
        # Between any two that are counted, `step` may take out one that it has done.
        (told._waiting or {}).pop(update, None)
        return 1

    monkeypatch.setattr(descriptions, "_needs", needs)

    assert told.waiting() == (3, 3)
