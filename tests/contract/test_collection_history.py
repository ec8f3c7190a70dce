"""The days of collections: of all updates, of lists and of searches, as plain counting says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from pyroaring import BitMap

from patchtide.adapters.storage import Storage
from patchtide.adapters.storage.history import HistoryReads
from patchtide.domain.errors import InvalidDocument
from patchtide.server.history_needing import KEPT, NeededBefore
from patchtide.server.history_pairs import PARTS, Pair, pair_count
from patchtide.server.history_rows import read_day
from patchtide.server.history_sets import ALL_UPDATES
from patchtide.server.history_since import NeededSince, first_needed
from patchtide.server.ports.clients import Client
from patchtide.server.ports.reports import Presence
from patchtide.wire.messages import HealthV1, encode
from tests.contract.test_history import TODAY, Site, figures
from tests.simulator.catalogs import an_update_id

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(storage: Storage) -> Site:
    return Site(storage)


def plainly(machines: Sequence[str], need: str) -> tuple[int, ...]:
    """Count machines that have everything, need something, wait, or never said anything."""
    return tuple(sum(one == how for one in machines) for how in ("has", need, "waits", "mute"))


async def test_a_collection_has_days_of_its_own_on_everything_on_lists_and_on_searches(
    site: Site,
) -> None:
    """A collection by query has other machines on another day: what was counted then stays."""
    machines = await site.begin(6)
    here = await site.collect("here", machines=machines[:3])
    needing = await site.collect("needing", query="required > 0")
    empty = await site.collect("empty")
    await site.make_list("spring", "openssl")
    stand = {0: "needs", 1: "has", 2: "mute", 3: "needs", 4: "waits", 5: "has"}
    first = await stood(site, machines, stand)
    await site.here.step()
    site.clock.advance(days=1)
    stand |= {0: "has", 1: "needs", 2: "has", 3: "has"}
    second = await stood(site, machines, stand)
    await site.rename_list("spring", "summer")
    for operation, subject in (
        ("collections.add", here.hex),
        ("collections.add", needing.hex),
        ("machines.approve", "a machine"),
    ):
        await site.decide(operation, subject)
    await site.here.step()
    site.clock.advance(days=1)

    in_here = [plainly(some[:3], "needs") for some in (first, second, second)]
    found = site.history(collection=here)
    assert [figures(day) for day in found.items] == in_here
    assert [day.reporting for day in found.items] == [2, 3, 0]
    assert (found.of, found.collection, found.title) == ("fleet", "here", "")
    on_list = site.history(collection=here, list="summer")
    assert [figures(day) for day in on_list.items] == in_here
    by_query = [figures(day) for day in site.history(collection=needing).items]
    assert by_query == [(0, 2, 0, 0), (0, 1, 0, 0), (0, 1, 0, 0)]
    assert [change.subject for change in found.changes] == [here.hex]
    assert [change.operation for change in site.history().changes] == ["machines.approve"]
    nobody = site.history(collection=empty)
    assert [day.machines for day in nobody.items] == [0] and nobody.known_since is None
    with pytest.raises(InvalidDocument):
        site.history(collection=here, update=an_update_id("openssl"))


async def stood(site: Site, machines: Sequence[Client], stand: dict[int, str]) -> list[str]:
    states = {
        "needs": {"required": [1], "installed": [2]},
        "has": {"installed": [1, 2]},
        "waits": {"installed": [1, 2]},
    }
    for place, how in stand.items():
        if how != "mute":
            await site.report(machines[place], **states[how])
            health = encode(HealthV1(restart_pending=how == "waits"))
            seen = site.clock.now().timestamp()
            heard = Presence(client=machines[place].number, counter=1, seen_at=seen, health=health)
            await site.storage.flush_presence([heard])
    return [stand[place] for place in range(len(machines))]


async def test_collections_for_which_there_is_no_room_are_left_out_set_by_set(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patchtide.server.history_counting.PAIRS", 3)
    machines = await site.begin(1)
    await site.report(machines[0], installed=[1, 2])
    some = [await site.collect(name, machines=machines) for name in ("a", "b")]
    await site.make_list("spring", "openssl")
    await site.here.step()
    site.clock.advance(days=1)

    assert [site.history(collection=one).known_since for one in some] == [TODAY] * 2
    assert site.history(collection=some[0], list="spring").known_since is None
    [day] = site.storage.fleet_history.days(first=TODAY, last=TODAY)
    assert read_day(day.document).left_out == 1


class NotKeptSince(HistoryReads):
    """The history of a server that did not keep since when machines need what."""

    def needed_since(self) -> Sequence[tuple[int, bytes]]:
        return []


async def test_who_needed_what_is_kept_for_as_long_as_a_forecast_looks_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = await site.begin(3)
    for day in range(10):
        for place, one in enumerate(machines):
            states = {"installed": [1]} if place < day // 3 else {"required": [1]}
            await site.report(one, **states)
        if day != 6:  # nobody counts on that day
            await site.here.step()
        site.clock.advance(days=1)
    if_only_two = BitMap([one.number for one in machines[1:]])
    place = site.storage.fleet_history.place(an_update_id("openssl"))
    assert place is not None
    days = [9, 8, 7, 5, 4, 3]
    today = TODAY + timedelta(days=10)

    before = NeededBefore(site.storage.fleet_history, today=today)

    found = dict(before.of(place, if_only_two))
    assert found == {TODAY + timedelta(days=n): 3 - max(1, n // 3) for n in days}
    kept = site.storage.fleet_history.needing(KEPT, first=TODAY, last=today)
    assert {day for day, _ in kept} == {*found, TODAY + timedelta(days=2)}
    older = NotKeptSince(site.storage._read)
    since = NeededSince(first_needed(older, {}, {place}, today=today).items())
    assert since.among(place, if_only_two) == (TODAY + timedelta(days=3), if_only_two)
    monkeypatch.setattr("patchtide.server.history_needing.MOST", 0)
    site.clock.advance(days=1)
    await site.report(machines[2], required=[1])
    await site.here.step()
    later = NeededBefore(site.storage.fleet_history, today=today + timedelta(days=2))
    assert today + timedelta(days=1) not in dict(later.of(place, if_only_two))


async def test_what_is_deleted_is_counted_no_more_and_leaves_nobody_its_past(site: Site) -> None:
    machines = await site.begin(2)
    await site.report(machines[0], required=[1])
    await site.here.step()
    history = site.storage.fleet_history
    places, gone = dict(history.places()), list[UUID]()
    for n in range(3):
        site.clock.advance(days=1)
        here = await site.collect(f"here {n}", machines=machines)
        await site.make_list("spring", "openssl")
        await site.here.step()
        day = site.clock.now().date()
        rows = [x for n in range(PARTS) for x in history.pairs(n, first=day, last=day)]
        counted = [pair_count(x, Pair(one, ALL_UPDATES)) for _, x in rows for one in gone]
        site.clock.advance(days=1)

        assert len(rows) == 1 and not any(one.installed + one.required for one in counted)
        for of in ({}, {"list": "spring"}):
            shown = site.history(collection=here, **of).items
            assert [figures(one) for one in shown] == [(0, 1, 0, 1)] * 2
        await site.drop(here)
        gone.append(here)
    assert history.places() == places
