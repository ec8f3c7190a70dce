"""The fleet in a real browser: imported, put together, given windows, and handed on in part."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.acceptance.test_console_story import PASSWORD, claim, sign_in
from tests.simulator.browser import PHONE, Reader, chromium, reader
from tests.simulator.furnished import Furnished, furnished

PLACES, ROLES = ("Ulm", "Bonn", "Kiel", "Jena"), ("web", "db")
SHOPS = [(f"shop-{n:03}", ROLES[n % 2], PLACES[n // 2 % 4]) for n in range(500)]
FILE = "name,roles,location\n" + "".join(f"{', '.join(shop)}\n" for shop in SHOPS)
QUERY = "role = web and location = Ulm"
THERE = [name for name, role, place in SHOPS if (role, place) == ("web", "Ulm")]
NOT_FOUND = "error: Failed to load resource: the server responded with a status of 404 (Not Found)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Furnished]:
    with furnished(tmp_path_factory.mktemp("site"), 8) as server:
        claim(browser, server)
        yield server


def test_whoever_is_handed_a_part_of_the_fleet_sees_that_part(
    browser: Browser, site: Furnished
) -> None:
    with reader(browser, site.url) as window:
        sign_in(window)
        elsewhere = import_machines(window)
        collection = put_together(window, "Web in Ulm", QUERY)
        give_a_window(window)
        link = hand_on(window, "uli", "Web in Ulm")
        assert window.complaints == []
    with reader(browser, site.url, viewport=PHONE) as window:
        come_in(window, link)
        sees_his_part(window)
        opens_his_collection(window, collection)
        nothing_else_is_there(window, elsewhere, collection)
        describes_one(window)
        assert set(window.complaints) <= {NOT_FOUND}


def import_machines(window: Reader) -> str:
    """Return the page of one that is in no collection."""
    page = window.open("/machines")
    page.get_by_role("link", name="Import a file").click()
    page.get_by_label("Expect machines that nobody knows yet").check()
    file = {"name": "shops.csv", "mimeType": "text/csv", "buffer": FILE.encode()}
    page.get_by_label("The file").set_input_files(files=[file])  # type: ignore[list-item]
    expect(page.get_by_role("heading", name="500 lines: 500 new, 0 changed")).to_be_visible()
    page.get_by_role("button", name="Import 500 machines").click()
    expect(page.get_by_role("status").first).to_contain_text("500 machines")
    found = window.open("/machines?q=shop-003").locator("a.rowlink")
    expect(found).to_have_count(1)
    return str(found.get_attribute("href"))


def put_together(window: Reader, name: str, query: str) -> str:
    """Return the page of the new collection."""
    page = window.open("/new-collection")
    page.get_by_label("Name", exact=True).fill(name)
    box = page.get_by_label("Machines that answer to this query")
    box.press_sequentially("locati")
    expect(page.get_by_role("option").first).to_contain_text("location")
    page.keyboard.press("Escape")
    box.fill(query)
    expect(page.locator("#sample")).to_contain_text(f"{len(THERE)} machines answer now: shop-000")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.locator(".range")).to_contain_text(f"{len(THERE)} machines")
    return page.url.removeprefix(window.url).partition("?")[0]


def give_a_window(window: Reader) -> None:
    page = window.page
    page.get_by_role("link", name="Add a window").click()
    page.get_by_label("Name").fill("Patch night")
    page.get_by_label("At", exact=True).fill("23:30")
    expect(page.locator("#preview")).to_contain_text("3 days after Patch Tuesday at 23:30")
    page.get_by_role("button", name="Add it").click()
    expect(page.locator("#windows")).to_contain_text("Patch night")


def hand_on(window: Reader, name: str, collection: str) -> str:
    """Return the link with which he comes in."""
    page = window.open("/people")
    page.get_by_label("Name to sign in with").fill(name)
    page.get_by_label("Role", exact=True).first.select_option("help-desk")
    page.get_by_label("Where", exact=True).first.select_option(label=f"Only {collection}")
    page.get_by_role("button", name="Add and make a link").click()
    return page.locator("#link-text").inner_text()


def come_in(window: Reader, link: str) -> None:
    page = window.open(link.removeprefix(window.url))
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The password again").fill(PASSWORD)
    page.get_by_role("button", name="Set password and sign in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def sees_his_part(window: Reader) -> None:
    page = window.open("/machines")
    expect(page.locator(".range")).to_contain_text(f"of {len(THERE)} machines")
    assert all(name in THERE for name in page.locator("a.rowlink").all_inner_texts())
    page.locator("#q").fill("location = Bonn or location = Ulm")
    page.wait_for_url(re.compile("q=location"))
    expect(page.locator(".range")).to_contain_text(f"of {len(THERE)} machines")
    assert window.stays_within_the_window()


def nothing_else_is_there(window: Reader, machine: str, collection: str) -> None:
    page = window.open("/machines?q=shop-003")
    expect(page.get_by_role("heading", name="Nothing fits")).to_be_visible()
    ask, none = page.request.get, "/machines/" + "0" * 32
    for path in (machine, f"{machine}?tab=attributes", none):
        assert window.page.goto(window.url + path).status == 404  # type: ignore[union-attr]
        assert "shop-" not in page.locator("main").inner_text()
    closed = f"{collection}/definition", f"{collection}/window", "/collections/" + "0" * 32
    for path in (*closed, "/people", "/machine-import"):
        assert ask(window.url + path).status in (403, 404)
    places = set(page.locator("nav[aria-label=Main] a").all_inner_texts())
    assert places.isdisjoint({"People", "Audit", "Enrolment", "Synchronisation", "Settings"})
    for link in page.locator("nav[aria-label=Main] a").all():
        assert ask(f"{window.url}{link.get_attribute('href')}").ok


def opens_his_collection(window: Reader, collection: str) -> None:
    page = window.open("/collections")
    names = page.locator("a.rowlink").all_inner_texts()
    assert len(names) == 2 and "All machines" in names, names
    page = window.open(collection)
    expect(page.locator("#windows")).to_contain_text("Patch night")
    expect(page.locator(".range")).to_contain_text(f"{len(THERE)} machines")
    for closed in ("Change", "Add a window", "Put machines in"):
        expect(page.get_by_text(closed, exact=True)).to_have_count(0)
    assert window.stays_within_the_window() and not window.accessibility_faults()
    expect(window.open(f"{collection}/calendar").get_by_role("heading", level=1)).to_be_visible()


def describes_one(window: Reader) -> None:
    page = window.open(f"/machines?q={THERE[1]}")
    page.locator("a.rowlink").click()
    page.get_by_role("link", name="Attributes").click()
    page.get_by_label("Owner").fill("Uli's team")
    page.get_by_role("button", name="Say so").click()
    expect(page.locator("#said")).to_contain_text("Uli's team")
