"""A machine's platform follows an upgrade of its system, by the catalog that it follows."""

from __future__ import annotations

from typing import Any

import pytest

from patchtide.adapters.storage import Storage
from patchtide.server.told_platforms import platform_in
from tests.integration.http.plane import AdministratorsPlane
from tests.simulator.agents_plane import MachineUnderTest, PlaneUnderTest, enrolled
from tests.simulator.catalogs import Catalog

pytestmark = pytest.mark.anyio
FOLLOWED = {
    "a release and what people publish": ({"debian-13": 0, "custom": 7}, "debian-13"),
    "what people publish alone": ({"custom": 7, "agent": 1}, ""),
    "two systems": ({"debian-12": 1, "debian-13": 1}, ""),
    "nothing": ({}, ""),
}


@pytest.mark.parametrize(("shards", "platform"), FOLLOWED.values(), ids=FOLLOWED)
def test_a_machine_is_of_the_one_system_whose_catalog_it_follows(
    shards: dict[str, int], platform: str
) -> None:
    assert platform_in(shards) == platform


class Site:
    """One storage, asked by administrators and by machines."""

    def __init__(self, storage: Storage) -> None:
        self.plane = AdministratorsPlane(storage, catalog=Catalog(storage))
        self.agents = PlaneUnderTest(storage, clock=self.plane.clock)
        self.storage = storage

    async def found(self, platform: str) -> list[str]:
        token = await self.plane.token(role="full-administrator")
        path = f"/api/v1/machines?query=platform%20%3D%20{platform}"
        answer = await self.plane.ask("GET", path, token=token)
        return [one["name"] for one in answer.json["items"]]

    async def check_in(self, machine: MachineUnderTest, *shards: str) -> None:
        said = await machine.check_in(shards={"custom": 0, **dict.fromkeys(shards, 0)})
        assert said.status in (200, 204)
        await self.agents.platforms.step()

    def told(self) -> list[dict[str, Any]]:
        entries = self.storage.audit(limit=100)
        return [dict(e.detail) for e in entries if e.operation == "machines.platform"]


@pytest.fixture
def site(storage: Storage) -> Site:
    return Site(storage)


async def test_a_query_by_platform_finds_a_machine_after_its_upgrade(site: Site) -> None:
    machine, _ = await enrolled(site.agents, name="web-1"), await enrolled(site.agents, name="db")

    for shard in ("debian-12", "debian-12"):
        await site.check_in(machine, shard)
    first = await site.found("debian-12")
    site.plane.clock.advance(days=2)
    await site.check_in(machine, "debian-13")

    assert first == ["web-1"]
    assert await site.found("debian-13") == ["web-1"]
    assert await site.found("debian-12") == []
    assert site.told() == [
        {"name": "web-1", "before": "", "now": "debian-12"},
        {"name": "web-1", "before": "debian-12", "now": "debian-13"},
    ]


async def test_who_is_another_every_minute_is_followed_once_a_day(site: Site) -> None:
    machine = await enrolled(site.agents, name="web-1")

    for shard in ("debian-12", "debian-13", "debian-12", "debian-13"):
        site.plane.clock.advance(minutes=1)
        await site.check_in(machine, shard)
    held = await site.found("debian-12")
    site.plane.clock.advance(days=1)
    await site.agents.platforms.step()

    assert held == ["web-1"] and await site.found("debian-13") == ["web-1"]
    assert len(site.told()) == 2


async def test_what_could_not_be_written_down_is_with_the_next_step(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = await enrolled(site.agents, name="web-1")
    await machine.check_in(shards={"debian-13": 0})

    async def fails(*args: Any, **more: Any) -> None:
        raise TimeoutError

    with monkeypatch.context() as broken, pytest.raises(TimeoutError):
        broken.setattr(site.storage, "decide", fails)
        await site.agents.platforms.step()
    assert site.told() == []
    await site.agents.platforms.step()

    assert [one["now"] for one in site.told()] == ["debian-13"]
