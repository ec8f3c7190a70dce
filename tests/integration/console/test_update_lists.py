"""Saved searches and lists of updates in the console: made, opened, changed, and by whom."""

from __future__ import annotations

import re

import pytest

from tests.integration.console.visitor import ConsoleSite, Visitor
from tests.simulator.catalogs import a_leaf, a_scan, an_update_id, some_details

pytestmark = pytest.mark.anyio
NAMES = ("openssl", "curl", "bash")


async def engineer(site: ConsoleSite, name: str = "maria") -> Visitor:
    visitor = await site.signed_in(name, "engineer")
    leaves = [a_leaf(number, one) for number, one in enumerate(NAMES, start=1)]
    await site.catalog.publish(leaves, details=[some_details(one) for one in NAMES])
    await visitor.get("/updates")
    return visitor


def titles(page: str) -> list[str]:
    return re.findall(r'class="rowlink".*?<bdi>(\w+)</bdi>', page)


async def test_a_search_is_saved_opened_renamed_shared_and_deleted(site: ConsoleSite) -> None:
    visitor = await engineer(site)
    offered = (await visitor.get("/updates?q=curl")).body.decode()
    saved = await visitor.post("/searches", {"name": "mine", "query": "curl", "whose": "own"})
    await visitor.post("/searches/act", {"act": "rename-own", "name": "mine", "to": "curls"})
    beside = (await visitor.get("/updates?q=%22curl%22")).body.decode()
    other = await site.signed_in("ben", "auditor")
    before = (await other.get("/updates")).body.decode()
    await visitor.post("/searches/act", {"act": "share", "name": "curls"})
    after = (await other.get("/updates")).body.decode()
    asked = await visitor.post("/searches/act", {"act": "delete-shared", "name": "curls"})
    still = (await other.get("/searches")).body.decode()
    sure = {"act": "delete-shared", "name": "curls", "sure": "yes"}
    await visitor.post("/searches/act", sure)

    assert "/new-search?q=curl" in offered
    assert saved.headers["location"] == "/updates?q=%22curl%22&done=saved-1"
    assert 'aria-current="true">' in beside and "curls" in beside and "mine</span>" in beside
    assert "curls" not in before and "curls" in after
    assert "gone for everybody" in asked.body.decode() and "curls" in still
    assert "No search is saved yet" in (await other.get("/searches")).body.decode()


async def test_a_mistake_in_a_search_is_marked_where_it_is_saved(site: ConsoleSite) -> None:
    visitor = await engineer(site)

    answer = await visitor.post("/searches", {"name": "late", "query": "age > 3"})

    page = answer.body.decode()
    assert answer.status == 400 and 'value="late"' in page and "age &gt; 3\n        ^</pre>" in page


async def test_a_list_is_made_of_all_that_a_query_finds(site: ConsoleSite) -> None:
    visitor = await engineer(site)
    asked = (await visitor.get("/new-list?q=curl+or+bash")).body.decode()
    made = await visitor.post(
        "/lists", {"name": "october", "note": "the <month>", "query": "curl or bash"}
    )
    [machine] = await site.machines("web-1")
    number = site.storage.clients()[0].number
    scan = a_scan(number, 1, serial=1, required=[2], installed=[3])
    await site.storage.accept([scan], now=site.clock.now().timestamp())
    site.clock.advance(seconds=1)

    page = (await visitor.get("/lists/october?sort=title")).body.decode()
    index = (await visitor.get("/lists")).body.decode()
    assert "It finds 2 updates; all of them" in asked
    assert made.headers["location"] == "/lists/october?done=make-list-1"
    assert titles(page) == ["bash", "curl"] and "the &lt;month&gt;" in page and machine
    assert re.search(r"Needed somewhere</dt><dd><a[^>]*>1</a>", page)
    assert 'data-label="Updates">2</td>' in index
    assert titles((await visitor.get("/lists/october?q=required+%3E+0")).body.decode()) == ["curl"]


async def test_chosen_updates_go_onto_a_list_and_off_it_again(site: ConsoleSite) -> None:
    visitor = await engineer(site)
    both = [str(an_update_id(name)) for name in ("openssl", "curl")]
    which = (await visitor.post("/lists/choice", {"update": both})).body.decode()
    await visitor.post("/lists", {"name": "kept", "update": both[:1]})
    added = await visitor.post("/lists/choice", {"update": both, "list": "kept"})
    gone = await visitor.post("/lists/kept/act", {"act": "remove", "update": both[:1]})

    assert "Put 2 updates on a list" in which and which.count(both[0]) == 1
    assert added.headers["location"] == "/lists/kept?done=listed-1"
    assert gone.headers["location"] == "/lists/kept?done=unlisted-1"
    assert titles((await visitor.get("/lists/kept")).body.decode()) == ["curl"]


async def test_a_list_is_renamed_and_deleted_only_when_it_was_confirmed(site: ConsoleSite) -> None:
    visitor = await engineer(site)
    await visitor.post("/lists", {"name": "october"})
    empty = (await visitor.get("/lists/october")).body.decode()
    await visitor.post("/lists/october/act", {"act": "rename", "to": "autumn"})
    asked = await visitor.post("/lists/autumn/act", {"act": "delete-list"})
    still = await visitor.get("/lists/autumn")
    gone = await visitor.post("/lists/autumn/act", {"act": "delete-list", "sure": "yes"})

    assert "nothing but a list" in empty
    assert "Delete 1 list?" in asked.body.decode() and still.status == 200
    assert gone.headers["location"] == "/lists?done=delete-list-1"
    assert (await visitor.get("/lists/autumn")).status == 404


async def test_whoever_may_only_read_is_offered_nothing_that_changes(site: ConsoleSite) -> None:
    visitor = await engineer(site)
    await visitor.post("/lists", {"name": "october", "query": "curl"})
    await visitor.post("/searches", {"name": "all", "query": "bash", "whose": "shared"})
    reader = await site.signed_in("ben", "auditor")
    paths = ("/updates?q=curl", "/lists", "/lists/october", "/searches", "/new-search")
    answers = [await reader.get(path) for path in paths]
    pages = [answer.body.decode() for answer in answers]
    forced = await reader.post("/lists/october/act", {"act": "delete-list", "sure": "yes"})

    for told in ("/lists/choice", "/new-list", "/act", "Everybody who may read"):
        assert not any(told in page for page in pages), told
    assert {answer.status for answer in answers} == {200} and "october" in pages[1]
    assert "needs the right catalog.modify" in forced.body.decode()
    assert (await reader.get("/lists/october")).status == 200


async def test_whose_right_ends_at_one_list_is_offered_that_one(site: ConsoleSite) -> None:
    keeper = await engineer(site)
    for name in ("october", "november"):
        await keeper.post("/lists", {"name": name, "query": "curl"})
    ola = await site.person("ola", "auditor")
    rights = ["catalog.read", "catalog.modify@list:october"]
    await site.storage.decide("x", "x", lambda tx: tx.set_rights(ola, rights), now=site.clock.now())
    visitor = site.visitor()
    await visitor.sign_in("ola")
    pages = {p: (await visitor.get(f"/lists/{p}")).body.decode() for p in ("october", "november")}
    bash = str(an_update_id("bash"))

    chosen = await visitor.post("/lists/choice", {"update": bash})
    put = await visitor.post("/lists/choice", {"update": bash, "list": "october"})
    other = await visitor.post("/lists/choice", {"update": bash, "list": "november"})

    assert re.findall(r'<option value="(\w+)">', chosen.body.decode()) == ["october"]
    assert "Make the list" not in chosen.body.decode()
    assert put.headers["location"] == "/lists/october?done=listed-1"
    assert other.status == 403
    assert ["Take off the list" in pages[p] for p in ("october", "november")] == [True, False]
    assert ["Rename" in pages[p] for p in ("october", "november")] == [False, False]
    assert "Put on a list" in (await visitor.get("/updates")).body.decode()
