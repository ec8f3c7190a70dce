"""S18 in a real browser with a key that it believes to be one: registered, asked for, lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.simulator.browser import PHONE, Reader, chromium, reader
from tests.simulator.furnished import Furnished, furnished

PASSWORD = "four words in a row"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    with furnished(tmp_path_factory.mktemp("site"), 3) as server:
        yield server


def by_name(site: Furnished) -> str:
    return site.url.replace("127.0.0.1", "localhost")


def plug_in(window: Reader) -> None:
    """Give the browser a key that answers by itself."""
    devtools = window.context.new_cdp_session(window.page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "usb", "hasResidentKey": False,
        "hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/sign-in")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_a_key_from_its_first_day_to_its_last(browser: Browser, site: Furnished) -> None:
    url = by_name(site)
    with reader(browser, url) as window:
        page = window.open(f"/welcome#{site.code}")
        plug_in(window)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("The password again").fill(PASSWORD)
        page.get_by_role("button", name="Claim this site").click()

        page.get_by_role("link", name="Register a security key").click()
        page.get_by_role("button", name="Register a key").click()
        page.get_by_label("What you call it").fill("Blue key")
        page.get_by_role("button", name="Register", exact=True).click()
        expect(page.get_by_text("The security key is registered.")).to_be_visible()
        expect(page.get_by_role("rowheader", name="Blue key")).to_be_visible()
        expect(page.get_by_text("with a password alone")).to_have_count(0)
        assert window.accessibility_faults() == []

        page.goto(f"{url}/people")
        page.get_by_role("button", name="Require one of them").click()
        expect(page.get_by_text("may do nothing without one")).to_be_visible()

        page.get_by_role("button", name="Sign out").click()
        sign_in(page, url)
        expect(page.get_by_role("heading", name="Your security key")).to_be_visible()
        page.goto(f"{url}/people")
        expect(page.get_by_role("heading", name="Your security key")).to_be_visible()
        assert window.accessibility_faults() == []
        page.get_by_role("button", name="Use the key").click()
        expect(page.get_by_role("heading", name="People")).to_be_visible()

        page.goto(f"{url}/account")
        page.get_by_text("Change", exact=True).click()
        page.get_by_label("Name", exact=True).fill("Old key")
        page.get_by_role("button", name="Rename").click()
        page.get_by_text("Change", exact=True).click()
        page.get_by_role("button", name="Remove Old key").click()
        expect(page.get_by_text("The security key is removed.")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        sign_in(page, url)
        expect(page.get_by_role("heading", name="A security key is needed")).to_be_visible()
        page.get_by_role("button", name="Register a key").click()
        page.get_by_label("What you call it").fill("New key")
        page.get_by_role("button", name="Register", exact=True).click()
        expect(page.get_by_role("rowheader", name="New key")).to_be_visible()

        page.goto(f"{url}/proposals")
        page.get_by_text("Change", exact=True).click()
        page.get_by_label("Second person").select_option("yes")
        page.get_by_role("button", name="Set", exact=True).click()
        page.goto(f"{url}/people")
        page.get_by_role("button", name="Let them in without").click()
        waits = page.get_by_role("heading", name="Let administrators in without a key")
        expect(waits).to_be_visible()
        page.goto(f"{url}/people")
        expect(page.get_by_text("may do nothing without one")).to_be_visible()
        assert window.complaints == []


def test_at_an_address_of_numbers_a_name_is_offered(browser: Browser, site: Furnished) -> None:
    with reader(browser, site.url, viewport=PHONE) as window:
        sign_in(window.page, site.url)

        expect(window.page.get_by_text("None of your security keys works at this")).to_be_visible()
        link = window.page.get_by_role("link", name=by_name(site))
        expect(link).to_have_attribute("href", f"{by_name(site)}/")
        assert window.stays_within_the_window()
        assert window.accessibility_faults() == []
