"""A real headless Chromium on a real server; whatever it complains about is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


@dataclass
class Reader:
    """One browser window and its complaints: errors, warnings, refused content."""

    page: Page
    context: BrowserContext
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def accessibility_faults(self) -> list[str]:
        """What axe-core finds serious or critical."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{fault['id']}: {node['html'][:160]}"
            for fault in found
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]

    def stays_within_the_window(self) -> bool:
        wanted = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        return bool(self.page.evaluate(wanted))


@contextmanager
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def reader(
    browser: Browser, url: str, *, viewport: dict[str, int] | None = None, scheme: str = "light"
) -> Iterator[Reader]:
    context = browser.new_context(
        ignore_https_errors=True,
        viewport=viewport or WIDE,  # type: ignore[arg-type]
        color_scheme=scheme,  # type: ignore[arg-type]
        accept_downloads=True,
    )
    page = context.new_page()
    window = Reader(page=page, context=context, url=url)
    page.on("console", lambda said: _note(window, said.type, said.text))
    page.on("pageerror", lambda error: window.complaints.append(str(error)))
    try:
        yield window
    finally:
        context.close()


def _note(window: Reader, kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        window.complaints.append(f"{kind}: {text}")
