"""The console in a real browser: the story, by keyboard, by phone, live, and against liars."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.simulator.browser import PHONE, WIDE, Reader, chromium, reader
from tests.simulator.furnished import HOSTILE, Furnished, furnished

PASSWORD = "four words in a row"
MACHINES = 130
ASKED = "/whatif?rule=any+of+(deb+zlib+installed,+query+rack+exists)"
NOT_FOUND = "error: Failed to load resource: the server responded with a status of 404 (Not Found)"
"""What a browser says of the one page that is not there."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Furnished]:
    with furnished(tmp_path_factory.mktemp("site"), MACHINES) as server:
        claim(browser, server)
        yield server


@pytest.fixture(scope="module")
def lying(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Furnished]:
    with furnished(tmp_path_factory.mktemp("lying"), len(HOSTILE), hostile=True) as server:
        claim(browser, server)
        yield server


def claim(browser: Browser, server: Furnished) -> None:
    """Become the first administrator, as a link of the server invites to."""
    with reader(browser, server.url) as window:
        page = window.open(f"/welcome#{server.code}")
        expect(page.get_by_label("One-time code")).to_have_value(server.code)
        assert server.code not in page.url
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("The password again").fill(PASSWORD)
        page.get_by_role("button", name="Claim this site").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("up to date")
        assert window.complaints == []


def sign_in(window: Reader) -> Page:
    page = window.open("/sign-in")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{window.url}/")
    return page


@pytest.fixture
def window(browser: Browser, site: Furnished) -> Iterator[Reader]:
    with reader(browser, site.url) as opened:
        sign_in(opened)
        yield opened
        assert opened.complaints == []


def test_from_the_overview_to_the_machines_that_need_an_update(window: Reader) -> None:
    page = window.page
    page.get_by_role("link", name="need updates").first.click()
    expect(page.get_by_role("heading", name="Machines")).to_be_visible()
    expect(page.locator("td.standing").first).to_contain_text("Needs updates")

    page.locator("a.rowlink").first.click()
    expect(page.get_by_role("link", name="Updates").last).to_have_attribute("aria-current", "page")
    update = page.locator("a.rowlink").first
    title = update.inner_text().split()[0]
    update.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(title)

    page.get_by_role("link", name="Rules", exact=True).click()
    expect(page.get_by_text("os debian 12")).to_be_visible()


def test_a_list_is_searched_filtered_and_sorted_and_its_address_says_how(window: Reader) -> None:
    page = window.open("/machines")
    page.locator("#q").press_sequentially("web-fra")
    expect(page.locator(".range")).to_contain_text(re.compile(r"^\d machines"))
    page.get_by_role("link", name=re.compile("^Up to date")).click()
    page.wait_for_url(re.compile("standing=compliant"))
    page.get_by_role("link", name="Last report").click()
    page.wait_for_url(re.compile("sort=-reported"))
    shown = page.locator("a.rowlink").all_inner_texts()

    again = window.open(page.url.removeprefix(window.url))
    assert "q=web-fra" in again.url
    assert again.locator("a.rowlink").all_inner_texts() == shown
    expect(again.locator("#q")).to_have_value("web-fra")


def test_a_query_is_written_with_what_is_offered_and_kept_as_a_folder_and_a_list(
    window: Reader,
) -> None:
    page = window.open("/updates")
    press, box, offered = page.keyboard.press, page.locator("#q"), page.locator("#q-options li")
    press("/")
    page.keyboard.type("severi")
    expect(offered.first).to_contain_text("severity")
    press("ArrowDown")
    press("Enter")
    page.keyboard.type(">= impor")
    expect(offered.first).to_contain_text("important")
    press("Escape")
    expect(offered).to_have_count(0)
    press("ArrowDown")
    expect(offered.first).to_be_visible()
    press("ArrowDown")
    press("Tab")
    expect(box).to_have_value("severity >= important ")
    page.wait_for_url(re.compile("q=severity"))
    press("Escape")
    page.get_by_role("link", name=re.compile("^Needed nowhere")).click()
    page.locator("h1").click()
    expect(box).to_have_value("severity >= important and required = 0")

    page.get_by_role("link", name="Save this search").click()
    page.get_by_label("Name").fill("calm")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="calm mine")).to_have_attribute("aria-current", "true")
    press("j")
    press("x")
    page.get_by_role("button", name="Put on a list").click()
    page.get_by_label("Name").fill("october")
    page.get_by_role("button", name="Make the list").click()
    expect(page.locator(".range")).to_have_text("1 update")


def test_what_is_chosen_is_exported_and_no_more(window: Reader, tmp_path: Path) -> None:
    page = window.open("/machines?q=db-")
    with page.expect_download() as begun:
        page.get_by_role("link", name="CSV", exact=True).click()
    begun.value.save_as(tmp_path / "machines.csv")

    lines = (tmp_path / "machines.csv").read_text().splitlines()
    assert lines[0].startswith("id,name,state,compliance")
    assert len(lines) == 1 + 13 and all(",db-" in line for line in lines[1:])


def test_the_whole_list_is_used_by_keyboard(window: Reader) -> None:
    page = window.open("/machines")
    press = page.keyboard.press
    press("/")
    page.keyboard.type("cache")
    expect(page.locator(".range")).to_have_text("13 machines")
    press("Escape")
    press("j")
    press("j")
    press("k")
    press("x")
    expect(page.locator("[data-chosen]")).to_have_text("1")
    first = page.locator("a.rowlink").first.inner_text()
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(first)
    press("g")
    press("u")
    expect(page.get_by_role("heading", level=1)).to_have_text("Updates")
    press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_skip_link_is_the_first_stop_and_leads_to_the_content(window: Reader) -> None:
    page = window.open("/machines")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_many_machines_are_approved_at_once(window: Reader) -> None:
    page = window.open("/machines?standing=waiting")
    expect(page.locator(".range")).to_have_text("2 machines")
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("button", name="Approve").click()

    expect(page.get_by_role("status").first).to_have_text("2 machines approved.")
    expect(page.get_by_role("heading", name="Nothing fits")).to_be_visible()


def test_what_hurts_is_asked_about_and_seen_by_others_at_once(
    window: Reader, browser: Browser, site: Furnished
) -> None:
    with reader(browser, site.url) as other:
        watched = sign_in(other)
        watched = other.open("/machines?q=edge")
        name = watched.locator("a.rowlink").first.inner_text()
        watched.locator("td.pick input").nth(1).check()
        watched.locator("#q").fill("edge")
        watched.wait_for_timeout(300)

        page = window.open("/machines?q=edge")
        page.get_by_role("link", name=name).click()
        page.get_by_role("button", name="Quarantine").click()
        expect(page.get_by_role("heading", name="Quarantine 1 machine?")).to_be_visible()
        page.get_by_role("button", name="Quarantine 1 machine").click()
        expect(page.locator(".badge").first).to_have_text("Quarantined")

        row = watched.get_by_role("row", name=name)
        expect(row).to_contain_text("Quarantined", timeout=15_000)
        expect(watched.locator("[data-chosen]").first).to_have_text("1")
        assert other.complaints == []


def test_a_token_is_shown_once_with_the_line_that_uses_it(window: Reader) -> None:
    page = window.open("/tokens")
    page.get_by_label("Machines that may use it").fill("3")
    page.get_by_role("button", name="Make token").click()
    line = page.locator("#enrol-line").inner_text()
    assert re.fullmatch(
        r"echo pt1\.\S+ \| sudo patchtide agent enrol --server https://127\.0\.0\.1:\d+"
        r" --token-file -",
        line,
    )

    window.open("/tokens")
    expect(page.locator("#enrol-line")).to_have_count(0)
    expect(page.locator("tbody tr")).to_have_count(1)


def test_many_people_get_another_role_at_once(window: Reader) -> None:
    page = window.open("/people")
    for name in ("ben", "eve"):
        page.get_by_label("Name to sign in with").fill(name)
        page.get_by_label("Role", exact=True).first.select_option("auditor")
        page.get_by_role("button", name="Add and make a link").click()
        expect(page.locator("#link-text")).to_contain_text("/welcome#")
    page = window.open("/people?role=auditor")
    page.get_by_label("Choose all on this page").check()
    page.get_by_label("New role").select_option("engineer")
    page.get_by_role("button", name="Change role").click()
    page.get_by_role("button", name="Change role of 2 people").click()

    expect(page.get_by_role("status").first).to_have_text("2 people given another role.")
    assert window.open("/people?role=engineer").locator("tbody tr").count() == 2


def test_the_colours_stay_as_they_were_chosen(window: Reader) -> None:
    page = window.open("/")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    page.keyboard.press("t")
    window.open("/machines")

    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


@pytest.mark.parametrize(
    ("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide, light", "phone, dark"]
)
def test_every_page_is_fit_for_everybody(
    browser: Browser, site: Furnished, viewport: dict[str, int], scheme: str
) -> None:
    with reader(browser, site.url, viewport=viewport, scheme=scheme) as opened:
        found = {"/sign-in": faults(opened, "/sign-in"), "/welcome": faults(opened, "/welcome")}
        sign_in(opened)
        for path in every_page(opened):
            found[path] = faults(opened, path)

    assert {path: wrong for path, wrong in found.items() if wrong} == {}
    assert len(found) >= 19
    assert opened.complaints == [NOT_FOUND]


def faults(window: Reader, path: str) -> list[str]:
    window.open(path)
    wide = [] if window.stays_within_the_window() else ["wider than the window"]
    return [*window.accessibility_faults(), *wide]


def every_page(window: Reader) -> list[str]:
    """Return an address of each page and of its states."""
    machine, update = first_of(window, "/machines?standing=required"), first_of(window, "/updates")
    unknown = first_of(window, "/machines?standing=unknown")
    return [
        "/", "/machines", "/machines?standing=unknown", "/machines?q=nothing", "/updates",
        "/tokens", "/people", "/account", "/audit", "/nowhere", unknown, machine,
        *(f"{machine}?tab={tab}" for tab in ("packages", "facts", "attributes", "history")),
        f"{machine}/calendar", "/machine-import", "/collections", "/new-collection",
        "/business-hours", "/roles", "/reports/undescribed", update,
        *(f"{update}?tab={tab}" for tab in ("about", "rules")),
        f"{machine}/why/{update.removeprefix('/updates/')}", "/whatif", "/whatif?rule=deb+toy+<",
        ASKED, ASKED.replace("/whatif", machine.replace("machines", "whatif")),
        "/updates?q=age+%3E+3+severty%3Dlow", "/updates?q=nonesuch", "/searches", "/lists",
        "/new-search?q=curl", "/new-list?q=curl", a_list(window), "/define",
    ]  # fmt: skip


def a_list(window: Reader) -> str:
    """Return the address of a list, which is made unless there is one."""
    if not window.open("/lists").locator("a.rowlink").count():
        page = window.open("/new-list?q=curl")
        page.get_by_label("Name").fill("november")
        page.get_by_role("button", name="Make the list").click()
        expect(page.locator(".range")).to_be_visible()
    return first_of(window, "/lists")


def first_of(window: Reader, path: str) -> str:
    href = window.open(path).locator("a.rowlink").first.get_attribute("href")
    assert href is not None
    return href


def test_what_machines_and_feeds_call_themselves_harms_no_reader(
    browser: Browser, lying: Furnished
) -> None:
    """S32, S33: markup in every name and fact, on every page; nothing runs, nothing is loaded."""
    with reader(browser, lying.url) as opened:
        opened.page.on("dialog", lambda dialog: opened.complaints.append(dialog.message))
        foreign: list[str] = []
        opened.page.on("request", lambda asked: foreign.append(asked.url))
        page = sign_in(opened)
        links = ["/", "/machines", "/updates", "/audit", "/people", "/lists", "/searches"]
        for path in ("/machines", "/updates?sort=title"):
            for link in opened.open(path).locator("a.rowlink").all():
                links.append(str(link.get_attribute("href")))
        for path in links[:40]:
            page = opened.open(path)
            assert page.locator("#main h1, #main h2").first.is_visible()
            if path.startswith("/machines/"):
                for tab in ("packages", "facts", "history"):
                    opened.open(f"{path}?tab={tab}")

        texts = "\n".join(opened.open("/machines").locator("a.rowlink").all_inner_texts())
        assert all(text in texts for text in HOSTILE)
        assert "49" not in texts
    assert opened.complaints == []
    assert [url for url in foreign if not url.startswith(lying.url)] == []


def test_from_a_state_to_its_reasons_and_from_a_rule_to_machines(window: Reader) -> None:
    page = window.open("/machines?standing=required")
    page.locator("a.rowlink").first.click()
    page.get_by_role("link", name=re.compile(r"^why\?")).first.click()
    expect(page.get_by_role("heading", name="Is it installed?")).to_be_visible()
    expect(page.locator(".lead")).to_contain_text("Needed")

    page.keyboard.type("gw")
    page.get_by_label("Needed where").fill("deb zlib <")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("alert").first).to_contain_text("a version is missing here")
    page.get_by_label("Needed where").fill("deb zlib < 2")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("heading", level=2).first).to_contain_text("would need it")
    page.get_by_role("link", name=re.compile("would need it$")).click()
    page.get_by_role("link", name=re.compile(r"^why\?")).first.click()
    expect(page.locator(".tree")).to_contain_text(["that is older than 2"] * 1)


def test_from_a_share_to_the_reason_and_on_to_a_curve_a_file_and_a_subscription(
    window: Reader, tmp_path: Path
) -> None:
    page, faults = window.page, list[str]()
    page.keyboard.type("gt")
    page.get_by_role("link", name="Overall compliance").click()
    page.locator("#machines").fill("platform = debian-12")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile("machines=platform"))
    faults += window.accessibility_faults()
    page.get_by_role("link", name="Needs updates").click()
    expect(page.locator(".summary")).to_contain_text("Needs updates")
    machine = page.locator("a.rowlink").first.inner_text()
    page.locator("#list tbody tr").first.locator('a[href^="/reports/machine?"]').first.click()
    expect(page.locator("#list")).to_contain_text(machine)
    page.locator('a[href*="/why/"]').first.click()
    expect(page.locator(".lead")).to_contain_text("Needed")

    page = window.open("/reports/errors")
    page.locator('a.rowlink[href^="/reports/scans"]').first.click()
    expect(page.locator("#list tbody tr").first).to_contain_text("Failed")
    page.keyboard.type("gh")
    expect(page.get_by_role("img", name=re.compile("All updates"))).to_be_visible()
    with page.expect_download() as said:
        page.get_by_role("link", name="CSV", exact=True).click()
    said.value.save_as(tmp_path / "days.csv")
    assert (tmp_path / "days.csv").read_text().startswith("date,percent,compliant,")

    page = window.open("/channels")
    page.get_by_label("Name").fill("ops")
    page.get_by_label("who gets it").fill("ops@example.org")
    page.get_by_role("button", name="Define").click()
    expect(page.get_by_role("button", name="Test ops")).to_be_visible()
    faults += window.accessibility_faults()
    window.open("/history").get_by_role("link", name="Subscribe").click()
    page.get_by_label("Name of the subscription").fill("weekly")
    faults += window.accessibility_faults()
    page.get_by_role("button", name="Subscribe").click()
    expect(page.get_by_role("status").first).to_contain_text("Subscription set")
    expect(page.locator("#list")).to_contain_text("History, day by day")
    assert [*faults, *window.accessibility_faults()] == []


def test_without_scripts_the_console_still_works(browser: Browser, site: Furnished) -> None:
    context = browser.new_context(ignore_https_errors=True, java_script_enabled=False)
    page = context.new_page()
    sign_in(Reader(page=page, context=context, url=site.url))
    page.goto(f"{site.url}/machines")
    page.get_by_role("searchbox").fill("mail")
    page.keyboard.press("Enter")
    expect(page.locator(".range")).to_have_text("13 machines")
    page.get_by_role("link", name="Needs", exact=True).click()
    expect(page.locator("[aria-sort]")).to_have_text("Needs")
    context.close()
