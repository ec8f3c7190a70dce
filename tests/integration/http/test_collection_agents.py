"""How often the machines of a collection check in and scan: set, followed as machines move."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.server import told_agents
from patchtide.server.followed_view import FollowedView
from patchtide.server.ports.fleet import Heard
from patchtide.wire.agent_settings import AgentSettingsV1
from patchtide.wire.messages import decode
from tests.integration.http.plane import AdministratorsPlane, Answer

pytestmark = pytest.mark.anyio
HOUR_S, DAY_S = 3600, 86_400


class Site:
    """Three machines, of which two are in collections."""

    def __init__(self) -> None:
        self.plane = AdministratorsPlane()

    async def begin(self) -> None:
        self.token = await self.plane.token(role="full-administrator")
        self.ids = {n: await self.plane.machine(n) for n in ("web-1", "web-2", "db-1")}
        self.web = await self.make("Web", query="name contains web")
        self.first = await self.make("First", names=["web-1"])

    async def do(self, method: str, path: str, document: Any = None) -> Answer:
        return await self.plane.ask(method, f"/api/v1{path}", token=self.token, document=document)

    async def make(self, name: str, **definition: Any) -> str:
        made = await self.do("POST", "/collections", {"name": name, **definition})
        assert made.status == 201, made.json
        return str(made.json["id"])

    async def put(self, collection: str, **said: Any) -> Answer:
        return await self.do("PUT", f"/settings/agents/collections/{collection}", said)

    async def told(self) -> dict[str, tuple[int, int, str]]:
        """Return by machine how often it checks in and scans, and who says so."""
        found = {}
        for name, uuid in self.ids.items():
            shown = (await self.do("GET", f"/machines/{uuid}")).json
            by = shown["told_by"]
            found[name] = shown["poll_s"], shown["scan_every_h"], by["name"] if by else ""
        return found


@pytest.fixture
async def site() -> Site:
    made = Site()
    await made.begin()
    return made


async def test_the_first_collection_in_the_order_decides_and_the_site_says_the_rest(
    site: Site,
) -> None:
    await site.put(site.web, scan_every_h=24, cycle="patch-tuesday", for_days=5)
    await site.put(site.first, poll_s=900)
    below = await site.told()
    listed = await site.put(site.first, poll_s=900, place=1)
    above = await site.told()
    sent = site.plane.context.agents.settings_of(site.ids["web-2"].bytes)
    cleared = await site.do("DELETE", f"/settings/agents/collections/{site.first}")

    assert below == {
        "web-1": (HOUR_S, 24, "Web"), "web-2": (HOUR_S, 24, "Web"), "db-1": (HOUR_S, 168, ""),
    }  # fmt: skip
    assert [(one["name"], one["machines"], one["decides_for"]) for one in listed.json["items"]] == [
        ("First", 1, 1),
        ("Web", 2, 1),
    ]
    assert above["web-1"] == (900, 168, "First")
    assert decode(sent.newer_than(b""), AgentSettingsV1).scan_every_s == DAY_S
    assert [one["name"] for one in cleared.json["items"]] == ["Web"]
    assert (await site.told())["web-1"] == (HOUR_S, 24, "Web")


async def test_a_machine_that_moves_is_told_otherwise_at_the_next_round(site: Site) -> None:
    agents, fleet = site.plane.context.agents, site.plane.context.fleet
    await site.put(site.first, poll_s=900)
    await site.do("POST", f"/collections/{site.first}/machines", {"names": ["db-1"]})
    await site.do("POST", f"/collections/{site.first}/removals", {"names": ["web-1"]})
    await agents.step(site.plane.storage, fleet)
    told = await site.told()

    assert {name: by for name, (_, _, by) in told.items()} == {
        "web-1": "", "web-2": "", "db-1": "First",
    }  # fmt: skip
    assert agents.settings_of(site.ids["db-1"].bytes).silent_after == timedelta(seconds=2700)


async def test_a_node_that_has_just_started_sends_nobody_the_settings_of_the_site(
    site: Site,
) -> None:
    await site.put(site.web, scan_every_h=24)
    agents = type(site.plane.context.agents)()
    agents.load(site.plane.storage, site.plane.clock.now())
    before = agents.settings_of(site.ids["web-1"].bytes).newer_than(b"")
    agents.follow(site.plane.context.fleet)

    assert before == b""
    assert agents.settings_of(site.ids["web-1"].bytes).newer_than(b"")


async def test_a_machine_that_moved_has_its_time_to_scan_though_the_server_starts_again(
    site: Site,
) -> None:
    agents, fleet = site.plane.context.agents, site.plane.context.fleet
    number = fleet.ask(lambda view: view.numbers[site.ids["db-1"].bytes])
    await site.put(site.first, scan_every_h=24)
    site.plane.clock.advance(days=30)
    await site.do("POST", f"/collections/{site.first}/machines", {"names": ["db-1"]})
    agents.follow(fleet)
    moved = fleet.ask(lambda view: dict(view.habits))
    site.plane.clock.advance(days=1)
    again = type(agents)()
    again.load(site.plane.storage, site.plane.clock.now())
    again.follow(fleet)

    now = site.plane.clock.now()
    assert moved[number].scans.before(now) == 7 * DAY_S
    assert fleet.ask(lambda view: dict(view.habits)) == moved


async def test_a_fleet_that_moves_is_judged_anew_some_machines_at_a_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told_agents, "SLICE", 1)
    agents, fleet = site.plane.context.agents, site.plane.context.fleet
    put, sizes = FollowedView.put_habits, list[int]()

    def counted(view: FollowedView, habits: dict[int, Any]) -> None:
        sizes.append(len(habits))
        put(view, habits)

    monkeypatch.setattr(FollowedView, "put_habits", counted)
    await site.put(site.web, poll_s=900)
    agents.follow(fleet)

    assert sizes == [1, 1]
    assert {by for _, _, by in (await site.told()).values()} == {"Web", ""}


async def test_who_checks_in_rarely_by_its_collection_is_silent_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent() -> int:
        return int((await site.do("GET", "/overview")).json["silent"])

    fleet, agents = site.plane.context.fleet, site.plane.context.agents
    now = site.plane.clock.now().timestamp()
    heard = fleet.ask(lambda view: dict.fromkeys(view.members, Heard(at=now, health=b"")))
    monkeypatch.setattr(site.plane.storage, "heard_after", lambda since: heard)
    site.plane.clock.advance(hours=5)
    before = await silent()
    await site.put(site.web, poll_s=2 * HOUR_S)
    agents.follow(fleet)

    assert (before, await silent()) == (3, 1)


async def test_who_is_in_one_with_settings_may_not_follow_from_how_machines_stand(
    site: Site,
) -> None:
    late = await site.make("Late", query="standing = unknown")
    around = await site.make("Around", include=[late])
    refused = [await site.put(late, poll_s=900), await site.put(around, poll_s=900)]
    await site.put(site.web, poll_s=900)
    refused += [
        await site.do("PUT", f"/collections/{site.web}", {"query": "required > 0"}),
        await site.do("PUT", f"/collections/{site.web}", {"exclude": [late]}),
        await site.do("DELETE", f"/collections/{site.web}"),
    ]

    assert [answer.status for answer in refused] == [409] * 5
    assert "who is in Late follows from how machines stand (standing)" in refused[1].json["detail"]
    assert "it has settings for agents" in refused[4].json["detail"]


@pytest.mark.parametrize(
    "said",
    [{}, {"poll_s": 30}, {"poll_s": 7200, "scan_every_h": 1}, {"postpone_h": 673}, {"at": "05:00"}],
)
async def test_what_is_out_of_its_limits_is_refused(site: Site, said: dict[str, Any]) -> None:
    assert (await site.put(site.web, **said)).status == 400


async def test_how_many_machines_there_are_is_told_to_who_may_read_machines(site: Site) -> None:
    await site.put(site.web, scan_every_h=24)
    known = {Right(kind, Verb.READ) for kind in (Kind.CATALOG, Kind.COLLECTIONS)}
    some = await site.plane.token(rights=frozenset(known))
    more = await site.plane.token(rights=frozenset(known | {Right(Kind.MACHINES, Verb.READ)}))

    told = [
        await site.plane.ask("GET", "/api/v1/settings/agents/collections", token=token)
        for token in (some, more)
    ]

    assert [answer.status for answer in told] == [404, 200]
    assert told[1].json["items"][0]["machines"] == 2


async def test_what_users_may_put_off_is_said_by_the_first_collection_that_a_machine_is_in(
    site: Site,
) -> None:
    await site.do("PUT", "/settings/agents", {"postpone_h": 8})
    await site.put(site.web, postpone_times=5, postpone_h=72)
    listed = await site.put(site.first, postpone_times=0, place=1)
    agents = site.plane.context.agents
    shown, sent = {}, {}
    for name, uuid in site.ids.items():
        page = (await site.do("GET", f"/machines/{uuid}")).json
        shown[name] = page["postpone_times"], page["postpone_h"]
        told = decode(agents.settings_of(uuid.bytes).newer_than(b"x"), AgentSettingsV1)
        sent[name] = told.postpone_times, told.postpone_s

    assert shown == {"web-1": (0, 8), "web-2": (5, 72), "db-1": (3, 8)}
    assert sent == {
        "web-1": (0, 8 * HOUR_S), "web-2": (5, 72 * HOUR_S), "db-1": (None, 8 * HOUR_S),
    }  # fmt: skip
    said = [(one["postpone_times"], one["postpone_h"]) for one in listed.json["items"]]
    assert said == [(0, None), (5, 72)]


async def test_others_that_install_updates_are_held_where_a_collection_says_so(site: Site) -> None:
    set_for_all = await site.do("PUT", "/settings/agents", {"updaters": "take-over"})
    listed = await site.put(site.first, updaters="leave")
    agents = site.plane.context.agents
    sent = {
        name: decode(agents.settings_of(uuid.bytes).newer_than(b"x"), AgentSettingsV1).takes_over
        for name, uuid in site.ids.items()
    }
    shown = (await site.do("GET", f"/machines/{site.ids['web-2']}")).json

    assert set_for_all.json["updaters"] == "take-over"
    assert [one["updaters"] for one in listed.json["items"]] == ["leave"]
    assert sent == {"web-1": False, "web-2": True, "db-1": True}
    assert (shown["takes_over"], shown["taken_over"]) == (True, [])


async def test_a_machine_is_told_of_the_freezes_of_its_collections_and_of_no_others(
    site: Site,
) -> None:
    agents, fleet = site.plane.context.agents, site.plane.context.fleet

    async def freeze(collection: object, day: str) -> str:
        said = {"begins": f"2026-12-{day} 18:00", "ends": "2027-01-04 06:00", "reason": "x"}
        made = await site.do("POST", f"/collections/{collection}/freezes", said)
        await agents.step(site.plane.storage, fleet)
        return str(made.json["id"])

    def told() -> dict[str, list[str]]:
        found = {n: agents.settings_of(one.bytes).newer_than(b"") for n, one in site.ids.items()}
        return {
            name: [one.begins[8:10] for one in decode(data, AgentSettingsV1).freezes]
            if data
            else []
            for name, data in found.items()
        }

    await freeze(site.web, "30")
    first = told()
    await site.put(site.first, poll_s=900, scan_every_h=24)
    of_first = await freeze(site.first, "20")
    of_all = await freeze(ALL_MACHINES, "10")
    both = told()
    await site.do("DELETE", f"/freezes/{of_all}")
    scheduled = {"machines": [str(site.ids["db-1"])], "schedule": site.first}
    await site.do("POST", "/machine-descriptions", scheduled)
    await agents.step(site.plane.storage, fleet)
    moved = told()
    await site.do("DELETE", f"/freezes/{of_first}")
    await agents.step(site.plane.storage, fleet)

    of_last = told()
    site.plane.clock.advance(days=400)
    await agents.step(site.plane.storage, fleet)

    assert first == {"web-1": ["30"], "web-2": ["30"], "db-1": []}
    assert both == {"web-1": ["10", "20", "30"], "web-2": ["10", "30"], "db-1": ["10"]}
    assert moved == {"web-1": ["20", "30"], "web-2": ["30"], "db-1": ["20"]}
    assert of_last == first
    assert told() == {"web-1": [], "web-2": [], "db-1": []}
