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
