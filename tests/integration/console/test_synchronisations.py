"""The page of synchronisations: begun, watched, scheduled and narrowed from there."""

from __future__ import annotations

import asyncio

import pytest

from patchtide.server.synchronisation_runs import begin, renew
from tests.integration.console.visitor import ConsoleSite

pytestmark = pytest.mark.anyio
PAGE = "/synchronisations"


async def test_one_is_begun_and_shows_in_the_history(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    await visitor.get(PAGE)
    answer = await visitor.post(PAGE, {"full": "yes"})
    desk = site.plane.context.synchronisations
    for _ in range(200):
        last = desk.last()
        if last is not None and last.run.state != "running":
            break
        await asyncio.sleep(0.01)

    page = (await visitor.get(PAGE)).body.decode()

    assert answer.status == 303
    assert ">Done</span>" in page and "maria" in page and "everything" in page


async def test_a_running_one_says_how_far_it_is_and_open_pages_hear_of_it(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    before = (await visitor.get("/live")).body
    desk = site.plane.context.synchronisations
    await site.storage.decide(
        "maria",
        "catalog.synchronise",
        lambda tx: begin(
            tx,
            node="elsewhere",
            by="maria",
            full=True,
            now=site.clock.now(),
            is_lost=lambda _: False,
        ),
        now=site.clock.now(),
    )
    run = desk.runs()[0]
    await site.storage.decide(
        "system",
        "catalog.synchronising",
        lambda tx: renew(tx, run, now=site.clock.now(), step="describing", done=3, of=7),
        now=site.clock.now(),
    )
    site.clock.advance(seconds=2)

    page = (await visitor.get(PAGE)).body.decode()

    assert "describing: 3 of 7" in page and 'max="7" value="3"' in page
    assert (await visitor.get("/live")).body != before


async def test_the_ways_to_the_feeds_are_tested_and_the_one_that_ends_is_named(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    await visitor.get(PAGE)

    answer = await visitor.post(f"{PAGE}/test")

    page = answer.body.decode()
    assert answer.status == 200 and "1 of 2 addresses failed" in page
    assert "https://lost.invalid/x" in page and "The proxy refuses" in page


SCHEDULES = {
    "a vendor's calendar": (
        {"way": "cycle", "every_h": "6", "cycle": "patch-tuesday", "days_after": "1"},
        {"every_h": 0, "cycle": "patch-tuesday", "days_after": 1},
    ),
    "days of the week": (
        {"way": "days", "every_h": "6", "days": ["monday", "friday"], "cycle": "sap"},
        {"every_h": 0, "cycle": "", "days": ["monday", "friday"]},
    ),
    "so many hours": ({"way": "every", "every_h": "6"}, {"every_h": 6, "days": []}),
    "never": ({"way": "never", "every_h": "6", "cycle": "sap"}, {"every_h": 0, "cycle": ""}),
}


@pytest.mark.parametrize(("form", "expected"), SCHEDULES.values(), ids=SCHEDULES)
async def test_a_schedule_is_set(
    site: ConsoleSite, form: dict[str, object], expected: dict[str, object]
) -> None:
    visitor = await site.signed_in()
    await visitor.get(PAGE)

    answer = await visitor.post(f"{PAGE}/schedule", form)

    assert answer.status == 303
    token = await site.plane.token(role="auditor")
    shown = (await site.plane.ask("GET", "/api/v1/catalog/schedule", token=token)).json
    assert {name: shown[name] for name in expected} == expected


async def test_a_selection_is_made_and_a_mistake_is_told_on_the_page(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    await visitor.get(PAGE)

    chosen = await visitor.post(
        f"{PAGE}/selection", {"severities": ["critical"], "languages": "de, pt-BR"}
    )
    wrong = await visitor.post(f"{PAGE}/schedule", {"way": "every", "every_h": "6", "zone": "Moon"})

    assert chosen.status == 303 and wrong.status == 400
    page = wrong.body.decode()
    assert "no time zone" in page and "pt-BR" in page


async def test_catalogs_in_files_are_made_and_believed_on_a_page_of_their_own(
    site: ConsoleSite,
) -> None:
    visitor, place = await site.signed_in(), f"{PAGE}/files"
    empty = (await visitor.get(place)).body.decode()
    wrong = await visitor.post(f"{place}/trust", {"name": "hq", "root": "5d"})
    await visitor.get(place)
    right = await visitor.post(f"{place}/trust", {"name": "hq", "root": "5d" * 32})
    known = (await visitor.get(place)).body.decode()
    gone = await visitor.post(f"{place}/distrust", {"name": "hq"})

    assert "No site's files are believed here" in empty and "catalog import catalog.ptc" in empty
    assert wrong.status == 400 and 'value="5d"' in wrong.body.decode()
    assert right.status == gone.status == 303
    assert "none yet" in known and "5d5d5d5d5d5d5d5d…" in known and "maria" in known
    assert "No site's files are believed here" in (await visitor.get(place)).body.decode()
