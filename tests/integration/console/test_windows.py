"""Windows and freezes on the pages of the collection and of the machine."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from patchtide.domain.access.rights import ROLES
from tests.integration.console.visitor import ConsoleSite

pytestmark = pytest.mark.anyio
NIGHT = {
    "name": "Patch <night>", "comes": "cycle", "cycle": "patch-tuesday", "days_after": "3",
    "at": "22:00", "length_min": "240", "clock": "machine", "covers": "everything",
}  # fmt: skip


async def test_a_collection_is_given_windows_and_frozen_on_its_page(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    [machine] = await site.machines("web-1")
    made = await visitor.post("/collections", {"name": "Web", "names": "web-1"})
    here = made.headers["location"].partition("?")[0]

    async def shown(path: str = here) -> str:
        return (await visitor.get(path)).body.decode()

    assert "No window: machines may be changed at any time" in await shown()

    refused = await visitor.post(f"{here}/window", {**NIGHT, "at": "25:00", "act": "save"})
    assert refused.status == 400 and "is a time of day" in refused.body.decode()
    assert "3 days after Patch Tuesday at 23:00" in await shown(
        f"{here}/window?comes=cycle&days_after=3&at=23:00"
    )
    kept = await visitor.post(f"{here}/window", {**NIGHT, "act": "save"})
    page = await shown()
    assert kept.status == 303
    assert "Patch &lt;night&gt;" in page and "3 days after Patch Tuesday at 22:00" in page

    there = await shown(f"/machines/{machine}")
    assert "not before " in there and "no maintenance window is open" in there
    assert f'of <a href="{here}#windows"><bdi>Web</bdi></a>' in there

    window = re.findall(r'window\?window=([0-9a-f-]+)"', page)[0]
    weekly = {**NIGHT, "window": window, "comes": "weeks", "on": ["monday", "friday"]}
    await visitor.post(f"{here}/window", {**weekly, "act": "save"})
    assert "Monday and Friday of every week at 22:00" in await shown()

    now = site.clock.now()
    held = {"begins": f"{now:%Y-%m-%dT%H:%M}", "reason": "year's end", "clock": "utc"}
    ends = f"{now + timedelta(days=3):%Y-%m-%dT%H:%M}"
    await visitor.post(f"{here}/freeze", {**held, "ends": ends})
    assert "This collection is frozen." in await shown()
    assert "it is frozen until" in await shown(f"/machines/{machine}")

    asked = await visitor.post(f"{here}/window", {"window": window, "act": "delete-window"})
    assert "may be changed at any time" in asked.body.decode()
    sure = {"window": window, "act": "delete-window", "sure": "yes"}
    await visitor.post(f"{here}/window", sure)
    assert "No window: machines may be changed at any time" in await shown()

    await site.person("rita", "auditor")
    reader = site.visitor()
    await reader.sign_in("rita")
    assert "collections.read" in {str(right) for right in ROLES["auditor"]}
    page = (await reader.get(here)).body.decode()
    assert "This collection is frozen." in page and "Add a window" not in page
    assert (await reader.get(f"{here}/window")).status == 403


async def test_a_month_shows_what_falls_on_its_days_and_openings_are_a_file(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    [machine] = await site.machines("web-1")
    made = await visitor.post("/collections", {"name": "Web", "names": "web-1"})
    here = made.headers["location"].partition("?")[0]
    await visitor.post(f"{here}/window", {**NIGHT, "act": "save"})
    frozen = {"begins": "2026-12-11T23:00", "ends": "2026-12-13T06:00", "clock": "utc"}
    await visitor.post(f"{here}/freeze", {**frozen, "reason": "a <fair>"})
    hours = {"of": "collection", "collection": here.rpartition("/")[2], "on": ["monday"]}
    said = {**hours, "begins": "08:00", "ends": "17:00", "holidays": "12-25 Christmas\n\n"}
    kept = await visitor.post("/business-hours", {**said, "act": "set-hours"})

    months = [
        (await visitor.get(f"{path}/calendar?month=2026-12")).body.decode()
        for path in (here, f"/machines/{machine}")
    ]
    csv = (await visitor.get(f"/machines/{machine}/calendar?format=csv")).body.decode()
    feed = await visitor.get(f"{here}/calendar?format=ics")

    assert kept.status == 303
    for month in months:
        assert "December 2026" in month and "month=2026-11" in month and "month=2027-01" in month
        assert "22:00–23:00</span> <bdi>Patch &lt;night&gt;" in month  # cut by the freeze
        assert "from 23:00</span> <bdi>a &lt;fair&gt;" in month and "until 06:00" in month
        assert "<bdi>Christmas</bdi>" in month
    assert csv.startswith("begins,ends,local_begins,") and ",2026-12-11 22:00," in csv
    assert feed.headers["content-type"].startswith("text/calendar")
    assert b"SUMMARY:Patch <night>" in feed.body
    assert (await visitor.get(f"{here}/calendar?month=2026-13")).status == 400
    assert (await visitor.get("/collections/x/calendar")).status == 404


async def test_the_month_says_that_nobody_knows_by_which_windows_a_machine_goes(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    [machine] = await site.machines("web-1")
    # Nothing was read yet of what machines tell of themselves.
    made = await visitor.post("/collections", {"name": "Debian", "query": "os = debian"})
    here = made.headers["location"].partition("?")[0]

    before = (await visitor.get(f"/machines/{machine}/calendar")).body.decode()
    await visitor.post(f"{here}/window", {**NIGHT, "act": "save"})
    after = (await visitor.get(f"/machines/{machine}/calendar")).body.decode()

    assert "No window: at any time" in before and "Nobody knows" not in before
    assert "Nobody knows by which windows it goes: not now." in after
    assert "at any time" not in after


async def test_business_hours_are_set_and_taken_back_on_their_page(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    hours = {"of": "location", "location": "Ulm", "collection": "of no other choice"}
    said = {"on": ["monday", "sunday"], "begins": "07:00", "ends": "16:00", "zone": "Europe/Berlin"}

    await visitor.get("/business-hours")
    wrong = await visitor.post("/business-hours", {**hours, **said, "holidays": "13-13 never"})
    await visitor.post("/business-hours", {**hours, **said, "act": "set-hours"})
    shown = (await visitor.get("/business-hours?location=ulm")).body.decode()
    site_wide = {"of": "site", "location": "Ulm", **said, "on": ["friday"]}
    await visitor.post("/business-hours", {**site_wide, "act": "set-hours"})
    back = await visitor.post("/business-hours", {**hours, "act": "clear-hours"})
    after = (await visitor.get("/business-hours")).body.decode()

    assert wrong.status == 400 and "is a day, as 2026-12-24" in wrong.body.decode()
    assert "13-13 never" in wrong.body.decode()
    assert "Monday and Sunday, 07:00 to 16:00" in shown and 'value="Europe/Berlin"' in shown
    assert "Take them back" in shown
    assert back.status == 303 and "Monday and Sunday" not in after
    assert "Friday, 07:00 to 16:00" in after
    await site.person("rita", "auditor")
    reader = site.visitor()
    await reader.sign_in("rita")
    assert "Set these hours" not in (await reader.get("/business-hours")).body.decode()
    assert (await reader.post("/business-hours", {"of": "site", **said})).status == 403


async def test_whose_rights_end_at_a_collection_sets_its_windows_on_its_page(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    [machine] = await site.machines("web-1")
    heres = [
        (await visitor.post("/collections", {"name": name, "names": "web-1"})).headers["location"]
        for name in ("Web", "Board")
    ]
    here, other = (one.partition("?")[0] for one in heres)
    frozen = {"begins": "2026-12-11T23:00", "ends": "2026-12-13T06:00", "clock": "utc"}
    await visitor.post(f"{here}/freeze", {**frozen, "reason": "fair"})
    await visitor.post(f"{other}/window", {**NIGHT, "name": "Secret", "act": "save"})
    ola, place = await site.person("ola", "metrics"), here.rpartition("/")[2]
    rights = [f"{one}@{place}" for one in ("machines.read", "collections.read")]
    rights.append(f"collections.modify@{place}")
    now = site.clock.now()
    await site.storage.decide("x", "x", lambda tx: tx.set_rights(ola, rights), now=now)
    delegate = site.visitor()
    await delegate.sign_in("ola")

    form = await delegate.get(f"{here}/window")
    await delegate.get(here)
    saved = await delegate.post(f"{here}/window", {**NIGHT, "act": "save"})
    page = (await delegate.get(here)).body.decode()
    there = (await delegate.get(f"/machines/{machine}")).body.decode()
    month = (await delegate.get(f"/machines/{machine}/calendar?month=2026-12")).body.decode()

    assert 'href="/business-hours?collection=' in page
    assert (form.status, saved.status) == (200, 303)
    assert "Add a window" in page and "Delete Patch" in page
    assert "Change the freeze" not in page and f"{here}/definition" not in page
    assert (await delegate.get(f"{other}/window")).status == 404
    assert "not before " in there and "Secret" not in there + month
    assert "of another collection" in month


async def test_whose_rights_end_at_a_collection_sets_its_business_hours_on_their_page(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    await site.machines("web-1")
    made = [await visitor.post("/collections", {"name": name}) for name in ("Web", "Db", "Board")]
    ids = [re.findall("[0-9a-f-]{36}", one.headers["location"])[0] for one in made]
    web, db, board = ids
    said = {"begins": "07:00", "ends": "16:00", "on": ["monday"], "act": "set-hours"}
    for key in (db, board):
        await visitor.post("/business-hours", {**said, "of": "collection", "collection": key})
    ola = await site.person("ola", "metrics")
    rights = [f"collections.{verb}@{key}" for verb in ("read", "modify") for key in (web, db)]
    rights.append("machines.read")
    now = site.clock.now()
    await site.storage.decide("x", "x", lambda tx: tx.set_rights(ola, rights), now=now)
    delegate = site.visitor()
    await delegate.sign_in("ola")

    async def shown() -> str:
        return (await delegate.get("/business-hours")).body.decode()

    before = await shown()
    mine = {**said, "of": "collection", "on": ["sunday"]}
    answers = [
        (await delegate.post("/business-hours", {**mine, **of})).status
        for of in ({"collection": web}, {"collection": db}, {"collection": board}, {"of": "site"})
    ]
    after = await shown()
    back = await delegate.post("/business-hours", {**mine, "collection": web, "act": "clear-hours"})

    assert "Set these hours" in before and "Board" not in before
    assert [f'value="{key}"' in before for key in ids] == [True, False, False]
    assert "the whole site</label>" not in before and 'name="location"' not in before
    assert answers == [303, 403, 404, 404]
    assert "Sunday, 07:00 to 16:00" in after and "Change the hours of Web" in after
    assert "Change the hours of Db" not in after
    assert back.status == 303 and "Sunday" not in (await shown()).partition("<form")[0]
