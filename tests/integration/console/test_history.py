"""The pages of history and targets: curves, gaps, what moved them, and their files."""

from __future__ import annotations

import re

import pytest

from patchtide.domain.access.grants import limited
from patchtide.domain.access.rights import ROLES
from patchtide.server.history_recorder import HistoryRecorder
from tests.integration.console.visitor import ConsoleSite
from tests.simulator.catalogs import a_leaf, a_scan, an_update_id, some_details

pytestmark = pytest.mark.anyio


def recorder_of(site: ConsoleSite) -> HistoryRecorder:
    context = site.plane.context
    return HistoryRecorder(
        fleet=context.fleet,
        source=site.storage,
        decisions=site.storage,
        clock=site.clock,
        node="here",
        silent_after=lambda: context.silent_after,
    )


async def test_a_curve_has_its_gap_its_marks_its_table_and_its_file(site: ConsoleSite) -> None:
    visitor = await site.signed_in("maria", "engineer")
    fresh = (await visitor.get("/history")).body.decode()
    await site.catalog.publish([a_leaf(1, "openssl")], details=[some_details("openssl")])
    await site.machines("web-1", "web-2")
    recorder = recorder_of(site)
    update = an_update_id("openssl")
    for client, states in zip(
        site.storage.clients(), ({"required": [1]}, {"installed": [1]}), strict=True
    ):
        scan = a_scan(client.number, 1, serial=1, **states)
        await site.storage.accept([scan], now=site.clock.now().timestamp())
    await recorder.step()
    await visitor.post("/lists", {"name": "spring", "query": "openssl"})
    site.clock.advance(days=2)
    await recorder.step()
    await visitor.sign_in("maria")  # the session has ended meanwhile

    whole = (await visitor.get("/history?days=30")).body.decode()
    of_list = (await visitor.get("/history?list=spring")).body.decode()
    of_update = (await visitor.get(f"/history?update={update}")).body.decode()
    csv = (await visitor.get(f"/reports/history?update={update}&format=csv")).body.decode()
    targets = (await visitor.get("/targets")).body.decode()
    overview = (await visitor.get("/")).body.decode()
    none = (await visitor.get("/targets?state=late")).body.decode()

    assert "Nothing was counted before today" in fresh and "No machine is let in" in fresh
    assert "50.0 % up to date today" in whole and "nobody counted on 1 day" in whole
    assert len(re.findall(r'<rect class="day"', whole)) == 3
    assert len(re.findall(r'<path class="fill-', whole)) == 2
    assert "Made a list of updates" in of_list and "Made a list of updates" not in whole
    assert "have it or do not need it" in of_update
    assert [line.split(",")[1:4] for line in csv.splitlines()[1:]] == [
        ["50.0", "1", "1"],
        ["", "", ""],
        ["50.0", "1", "1"],
    ]
    assert f"/new-subscription?update={update}&amp;days_back=90&amp;report=history" in of_update
    assert f'href="/history?update={update}"' in targets and "too little is known" in targets
    assert "the last 3 days" in overview and "50.0 % were up to date then" in overview
    assert "No update that some machine needed is in this state" in none
    assert (await visitor.get("/history?list=nowhere")).status == 404


async def test_who_has_a_collection_is_led_to_its_days_and_to_those_of_no_other(
    site: ConsoleSite,
) -> None:
    keeper = await site.signed_in("maria")
    await site.catalog.publish([a_leaf(1, "openssl")], details=[some_details("openssl")])
    machines = await site.machines("web-1", "web-2", "db-1")
    for client in site.storage.clients():
        scan = a_scan(client.number, 1, serial=1, required=[1])
        await site.storage.accept([scan], now=site.clock.now().timestamp())
    token = await site.plane.token(role="full-administrator")
    ids = []
    for name, some in (("Web", machines[:2]), ("Databases", machines[2:])):
        said = {"name": name, "names": [str(one) for one in some]}
        made = await site.plane.ask("POST", "/api/v1/collections", token=token, document=said)
        ids.append(made.json["id"])
    web, databases = ids
    await keeper.post("/searches", {"name": "due", "query": "required > 0", "whose": "shared"})
    recorder = recorder_of(site)
    await recorder.step()
    site.clock.advance(days=1)
    await recorder.step()
    ola, now = await site.person("ola", "auditor"), site.clock.now()

    async def seen(*rights: str) -> dict[str, str]:
        await site.storage.decide("x", "x", lambda tx: tx.set_rights(ola, rights), now=now)
        reader = site.visitor()
        await reader.sign_in("ola")
        own = ("/", f"/collections/{web}", "/history", "/history?search=due", "/targets")
        answers = {path: await reader.get(path) for path in (*own, f"/history?collection={web}")}
        others = (f"/history?collection={databases}", f"/targets?collection={databases}")
        assert [(await reader.get(path)).status for path in others] == [404, 404]
        assert {path: a.status for path, a in answers.items() if a.status != 200} == {}
        return {path: answer.body.decode() for path, answer in answers.items()}

    pages = await seen(*map(str, limited(ROLES["auditor"], web)))

    assert all('href="/history"' in page and 'href="/targets"' in page for page in pages.values())
    assert f'href="/history?collection={web}"' in pages[f"/collections/{web}"]
    assert "of 2 active machines in it" in pages["/history"]
    for path in ("/history", "/history?search=due"):
        assert len(re.findall(r'<rect class="day"', pages[path])) == 2, path
    assert f'<option value="{web}" selected>In Web' in pages["/history"]
    assert ">due</a>" in pages["/history"]
    assert not [path for path, page in pages.items() if "Databases" in page or databases in page]
    assert "db-1" not in "".join(pages.values())
