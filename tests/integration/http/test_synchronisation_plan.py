"""What administrators decide about synchronising, and what the server says comes next."""

from __future__ import annotations

from typing import Any

import pytest

from patchtide.server.offered import remember_offered
from tests.integration.http.plane import AdministratorsPlane

pytestmark = pytest.mark.anyio
SCHEDULE, SELECTION = "/api/v1/catalog/schedule", "/api/v1/catalog/selection"


async def asked(plane: AdministratorsPlane, path: str, said: Any = None) -> Any:
    token = await plane.token(role="update-administrator")
    if said is None:
        return await plane.ask("GET", path, token=token)
    return await plane.ask("PUT", path, token=token, document=said)


async def test_a_site_that_nobody_set_synchronises_every_hour() -> None:
    shown = (await asked(AdministratorsPlane(), SCHEDULE)).json

    assert (shown["every_h"], shown["next_why"], shown["next_full"]) == (1, "first", True)


async def test_a_schedule_by_a_vendors_calendar_is_kept_and_audited() -> None:
    plane = AdministratorsPlane()
    said = {"cycle": "patch-tuesday", "days_after": 1, "at": "21:30", "zone": "Europe/Berlin"}

    changed = await asked(plane, SCHEDULE, said)
    shown = (await asked(plane, SCHEDULE)).json

    assert changed.status == 200 and shown == changed.json
    assert {name: shown[name] for name in said} == said and shown["every_h"] == 0
    assert plane.storage.entries[-1].operation == "catalog.reschedule"


async def test_every_mistake_in_a_schedule_is_told_at_once() -> None:
    said = {"every_h": 2, "days": ["monday"], "at": "25:00", "zone": "Moon/Base"}

    refused = await asked(AdministratorsPlane(), SCHEDULE, said)

    assert refused.status == 400
    assert {p["where"] for p in refused.json["problems"]} == {"every_h", "at", "zone"}


async def test_a_feed_has_its_own_choice_and_one_that_takes_all_again_is_no_choice() -> None:
    plane = AdministratorsPlane()
    await asked(plane, SELECTION, {"severities": ["critical"]})
    await asked(plane, SELECTION, {"feed": "toys", "languages": ["de"], "ahead": True})
    both = (await asked(plane, SELECTION)).json["items"]
    await asked(plane, SELECTION, {})
    one = (await asked(plane, SELECTION)).json["items"]

    assert [(x["feed"], x["severities"], x["languages"]) for x in both] == [
        ("", ["critical"], []),
        ("toys", [], ["de"]),
    ]
    await asked(plane, SELECTION, {"feed": "toys"})
    none = (await asked(plane, SELECTION)).json["items"]
    await asked(plane, SELECTION, {"feed": "toys", "everything": True, "ahead": True})
    all_of_it = (await asked(plane, SELECTION)).json["items"]

    assert [x["feed"] for x in one] == ["toys"] == [x["feed"] for x in all_of_it]
    assert none == []


async def test_what_no_feed_has_told_of_is_refused_with_what_comes_near() -> None:
    plane = AdministratorsPlane()
    await plane.storage.decide(
        "system",
        "x",
        lambda tx: remember_offered(tx, {"debian-security": ("Debian 12",)}),
        now=plane.clock.now(),
    )
    wrong = await asked(plane, SELECTION, {"feed": "debian", "products": ["Debian 13"]})
    right = await asked(plane, SELECTION, {"products": ["Debian 12"]})
    ahead = await asked(plane, SELECTION, {"products": ["Debian 13"], "ahead": True})

    told = {p["where"]: p["what"] for p in wrong.json["problems"]}
    assert "of Debian 12" in told["products"] and "debian-security" in told["feed"]
    assert (wrong.status, right.status, ahead.status) == (400, 200, 200)
    assert ahead.json["products"] == ["Debian 12"]


async def test_a_time_of_day_without_days_turns_no_schedule_off() -> None:
    plane = AdministratorsPlane()

    refused = await asked(plane, SCHEDULE, {"at": "05:00", "zone": "Europe/Berlin"})
    never = await asked(plane, SCHEDULE, {})

    assert refused.status == 400
    assert {p["where"] for p in refused.json["problems"]} == {"at", "zone"}
    assert "--days monday" in refused.json["problems"][0]["what"]
    assert (never.status, never.json["every_h"]) == (200, 0)
