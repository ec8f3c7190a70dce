"""History and targets as programs ask for them: what was counted, and what follows from it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.access.grants import limited
from patchtide.domain.access.rights import MACHINE, ROLES, right
from patchtide.domain.catalog.details import Severity
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.compliance.forecast import Lacking, forecast
from patchtide.domain.compliance.history import day_of
from patchtide.server.history_recorder import HistoryRecorder
from patchtide.server.ports.clients import Client
from tests.integration.http.plane import AdministratorsPlane, Answer
from tests.simulator.catalogs import Catalog, a_leaf, a_scan, an_update_id, some_details
from tests.simulator.databases import sqlite_url
from tests.simulator.reports import enrolled

pytestmark = pytest.mark.anyio
MACHINES, DAYS = 20, 6


@dataclass
class Site:
    """Twenty machines, of which three more a day get an update that is of high risk."""

    plane: AdministratorsPlane
    token: str
    recorder: HistoryRecorder

    async def ask(self, path: str) -> Answer:
        return await self.plane.ask("GET", f"/api/v1/{path}", token=self.token)

    async def items(self, path: str) -> Any:
        return (await self.ask(path)).json["items"]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    storage = Storage.open(sqlite_url(tmp_path / "patchtide.db"))
    catalog = Catalog(storage)
    details = [some_details("openssl", severity=Severity.IMPORTANT), some_details("curl")]
    await catalog.publish([a_leaf(1, "openssl"), a_leaf(2, "curl")], details=details)
    machines = await enrolled(storage, MACHINES)
    plane = AdministratorsPlane(storage=storage, catalog=catalog)
    recorder = HistoryRecorder(
        fleet=plane.context.fleet,
        source=storage,
        decisions=storage,
        clock=plane.clock,
        node="here",
        silent_after=lambda: plane.context.silent_after,
    )
    for day in range(DAYS):
        for place, client in enumerate(machines):
            states = {"installed": [1]} if place < 3 * day else {"required": [1]}
            scan = a_scan(client.number, day + 1, **states)
            await storage.accept([scan], now=plane.clock.now().timestamp())
        assert await recorder.step()
        plane.clock.advance(days=1)
    yield Site(plane, await plane.token(role="auditor"), recorder)
    await storage.close()


async def test_a_history_of_an_update_falls_as_machines_get_it(site: Site) -> None:
    days = await site.items(f"history?update={an_update_id('openssl')}&days=4")

    assert [(d["required"], d["installed"], d["percent"]) for d in days] == [
        (11, 9, 45.0),
        (8, 12, 60.0),
        (5, 15, 75.0),
        (5, 15, 75.0),
    ]
    assert [day["live"] for day in days] == [False, False, False, True]


async def test_a_target_is_forecast_from_how_many_get_it_a_day(site: Site) -> None:
    [found] = await site.items("targets?risk=high")
    whole = (await site.ask("targets")).json

    assert (found["title"], found["state"], found["since"]) == (
        "openssl 2.0-1",
        "open",
        "2026-03-02",
    )
    assert (found["percent"], found["lacking"], found["machines"]) == (75.0, 5, 20)
    assert (found["outlook"], found["a_day"], found["earliest"]) == ("expected", 3.0, "2026-03-10")
    assert found["due"] == "2026-03-16" and found["latest"] > found["earliest"]
    high = next(one for one in whole["classes"] if one["risk"] == "high")
    assert (high["updates"], high["open"], high["late"], high["met"]) == (1, 1, 0, 0)
    assert whole["known_since"] == "2026-03-02"
    site.plane.clock.advance(days=10)
    assert [one["state"] for one in await site.items("targets")] == ["late"]
    assert [one["outlook"] for one in await site.items("targets")] == ["too-little-known"]
    assert await site.items("targets?state=open") == []


async def test_an_update_is_held_against_the_target_of_each_class_that_it_is_of_on_machines(
    site: Site,
) -> None:
    """Of the five that lack it, two stand at the perimeter from now on; two that have it, too."""
    plane, machines = site.plane, list(site.plane.storage.clients())
    some = [str(UUID(bytes=client.uuid)) for client in (*machines[:2], *machines[-2:])]
    said = {"machines": some, "exposure": "perimeter"}
    token = await plane.token(role="help-desk")
    await plane.ask("POST", "/api/v1/machine-descriptions", token=token, document=said)
    first = (await site.ask("targets")).json
    assert await site.recorder.step()
    plane.clock.advance(days=1)
    got = a_scan(machines[-1].number, DAYS + 1, installed=[1])
    await plane.storage.accept([got], now=plane.clock.now().timestamp())
    urgent, high = await site.items("targets")
    report = (await site.ask("reports/targets?risk=emergency")).json

    assert [(x["risk"], x["lacking"], x["machines"]) for x in first["items"]] == [
        ("emergency", 2, 4),
        ("high", 3, 16),
    ]
    assert [(x["risk"], x["updates"], x["late"]) for x in first["classes"]][:2] == [
        ("emergency", 1, 1),
        ("high", 1, 0),
    ]
    assert (urgent["risk"], urgent["lacking"], urgent["machines"]) == ("emergency", 1, 4)
    assert (urgent["state"], urgent["since"]) == ("late", "2026-03-02")
    assert (high["risk"], high["lacking"], high["outlook"]) == ("high", 3, "too-little-known")
    [row] = report["items"]
    assert row["links"]["lacking"].endswith(
        "machines=exposure+%3D+perimeter+or+exposure+%3D+critical&state=required"
    )


async def test_how_long_an_update_took_is_told_share_by_share(site: Site) -> None:
    answer = (await site.ask("history/times")).json

    [took] = answer["items"]
    assert [took[f"days{share}"] for share in (50, 90, 95, 99)] == [4, None, None, None]
    high = next(one for one in answer["classes"] if one["risk"] == "high")
    assert (high["updates"], high["days50"], high["days90"]) == (1, 4.0, None)


async def test_history_and_targets_are_reports_like_any_other_and_say_the_same(site: Site) -> None:
    update = an_update_id("openssl")
    days = (await site.ask(f"reports/history?update={update}&days_back=3")).json
    aims = (await site.ask("reports/targets?risk=high&query=openssl")).json
    none = (await site.ask("reports/targets?query=curl")).json
    late = (await site.ask("reports/targets?state=late")).json
    file = await site.ask("reports/targets/csv")

    assert [(d["cells"]["date"], d["cells"]["required"]) for d in days["items"]] == [
        ("2026-03-08", 5),
        ("2026-03-07", 5),
        ("2026-03-06", 8),
    ]
    assert days["figures"][1] | {"count": 5, "of": 20, "share": 25.0} == days["figures"][1]
    [found] = (row["cells"] for row in aims["items"])
    assert (found["state"], found["percent"], found["lacking"]) == ("open", 75.0, 5)
    assert (found["outlook"], found["earliest"]) == ("expected", "2026-03-10")
    assert (none["items"], late["items"], late["figures"][1]["count"]) == ([], [], 1)
    assert b"openssl 2.0-1" in file.body and b",expected,2026-03-10," in file.body


async def test_whoever_may_see_a_collection_alone_is_told_of_its_days_alone(site: Site) -> None:
    plane, [first, *_] = site.plane, list(site.plane.storage.clients())
    keeper = await plane.token(role="full-administrator")
    ids = []
    for name in ("one", "two"):
        document = {"name": name, "names": [first.name]}
        made = await plane.ask("POST", "/api/v1/collections", token=keeper, document=document)
        ids.append(made.json["id"])
    assert await site.recorder.step()
    plane.clock.advance(days=1)
    held = limited(ROLES["auditor"], ids[0])
    inside = replace(site, token=await plane.token(rights=held))

    own = (await inside.ask("history")).json
    csv = await inside.ask(f"reports/history/csv?collection={ids[0]}&days_back=2")
    csv = await inside.ask("reports/history/csv?days_back=2")
    named = [await inside.ask(f"history?collection={one}") for one in ids]
    refused = await inside.ask(f"reports/history?collection={ids[1]}")
    reads = frozenset({*held, right("collections.read")})
    wider = replace(site, token=await plane.token(rights=reads))
    both = [await wider.ask(f"history?collection={one}") for one in ids]
    machine = limited(ROLES["auditor"], f"{MACHINE}{UUID(bytes=first.uuid)}")
    single = await replace(site, token=await plane.token(rights=machine)).ask("history")

    counted = [(day["machines"], day["compliant"]) for day in own["items"] if not day["live"]]
    assert (counted, own["collection"]) == ([(1, 1)], "one")
    assert {change["operation"] for change in own["changes"]} <= {"collections.create"}
    assert [line.split(",")[6] for line in csv.body.decode().splitlines()[1:]] == ["1", "1"]
    assert [answer.status for answer in (*named, refused)] == [200, 404, 404]
    assert named[0].json["items"] == own["items"]
    assert [answer.status for answer in both] == [200, 404]
    assert [day["live"] for day in single.json["items"]] == [True]
    assert not single.json["is_counted"] and own["is_counted"]


async def test_a_target_is_forecast_for_the_machines_of_a_collection_alone(site: Site) -> None:
    """Who had it on which day is known of each: machines from the ninth on, as they stood."""
    plane, some = site.plane, list(site.plane.storage.clients())[8:]
    keeper = await plane.token(role="full-administrator")
    document = {"name": "late", "names": [one.name for one in some]}
    made = await plane.ask("POST", "/api/v1/collections", token=keeper, document=document)
    collection = made.json["id"]
    reader = replace(site, token=await plane.token(role="engineer"))
    own = replace(site, token=await plane.token(rights=limited(ROLES["auditor"], collection)))

    [found] = await reader.items(f"targets?collection={collection}")
    [narrowed] = await own.items("targets")
    report = (await reader.ask(f"reports/targets?collection={collection}")).json
    query = (await reader.ask("reports/targets?machines=group=nowhere")).json
    file = await reader.ask(f"reports/targets/csv?collection={collection}")

    lacked = [sum(3 * day <= place for place in range(8, MACHINES)) for day in range(DAYS)]
    today = day_of(plane.clock.now())
    counts = [
        Lacking(day=today - timedelta(days=DAYS - day), machines=n, of=12)
        for day, n in enumerate([*lacked, lacked[-1]])
    ]
    plain = forecast(counts, percent=found["target"], today=today)
    assert (found["lacking"], found["machines"], found["percent"]) == (5, 12, 58.3)
    assert (found["outlook"], found["earliest"]) == (plain.outlook.value, str(plain.earliest))
    assert found["a_day"] == round(plain.a_day, 1) > 0
    assert narrowed == found
    [row] = report["items"]
    assert row["cells"]["lacking"] == 5 and "percent" not in row["links"]
    assert f"collection={collection}" in row["links"]["lacking"] and b",12,expected," in file.body
    assert query["items"] == [] and query["members"] == 0


REFUSED = {
    f"targets?collection={UUID(int=0)}": (404, "not-found"),
    f"history?collection={UUID(int=0)}": (404, "not-found"),
    f"history?collection={ALL_MACHINES}&update={UUID(int=0)}": (404, "not-found"),
    "reports/history?machines=web": (400, "invalid-document"),
    "reports/history?query=openssl": (400, "invalid-document"),
    "reports/history?search=nowhere": (404, "not-found"),
    "reports/targets?state=lost": (400, "invalid-document"),
    "history?list=nowhere": (404, "not-found"),
    "history?search=nowhere": (404, "not-found"),
    "history?update=00000000-0000-0000-0000-000000000000": (404, "not-found"),
    "history?list=a&search=b": (400, "invalid-document"),
    "history?days=0": (400, "invalid-document"),
}


async def test_what_there_is_nothing_of_is_refused_by_name(site: Site) -> None:
    answers = {path: await site.ask(path) for path in REFUSED}

    assert {path: (a.status, a.json["code"]) for path, a in answers.items()} == REFUSED


async def test_an_updates_time_on_some_machines_runs_from_when_one_of_them_needed_it(
    site: Site,
) -> None:
    """What the others did a day before moves nothing, and who had it before did not get it."""
    plane, (late, has, *others) = site.plane, list(site.plane.storage.clients())
    for needing, having in ((others, [has]), ([late], [])):
        await reports(plane, needing, required=[2])
        await reports(plane, having, installed=[2])
        assert await site.recorder.step()
        plane.clock.advance(days=1)
    keeper = await plane.token(role="full-administrator")
    document = {"name": "ours", "names": [late.name, has.name]}
    made = await plane.ask("POST", "/api/v1/collections", token=keeper, document=document)
    ours = limited(ROLES["auditor"], made.json["id"])
    inside = replace(site, token=await plane.token(rights=ours))

    await reports(plane, others[:9], installed=[2])
    whole, own = [
        next(one for one in await asked.items("targets") if one["title"].startswith("curl"))
        for asked in (site, inside)
    ]
    await reports(plane, [late], installed=[2])
    got = next(one for one in await inside.items("targets") if one["title"].startswith("curl"))

    assert (whole["since"], whole["lacking"]) == ("2026-03-08", 10)
    assert (own["since"], own["lacking"], own["machines"]) == ("2026-03-09", 1, 1)
    assert (got["since"], got["lacking"], got["machines"]) == ("2026-03-09", 0, 1)


async def reports(plane: AdministratorsPlane, some: Sequence[Client], **states: Any) -> None:
    counter = plane.clock.now().toordinal() * 2 + ("installed" in states)
    scans = [a_scan(one.number, counter, **states) for one in some]
    await plane.storage.accept(scans, now=plane.clock.now().timestamp())
