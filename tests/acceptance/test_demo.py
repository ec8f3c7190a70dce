"""`patchtide demo`: one command, a name and a password, pages full of machines, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.simulator.browser import chromium, reader

ROOT = Path(__file__).parents[2]


@contextmanager
def demo(home: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "patchtide.entry.server.demo", "--home", str(home)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--machines", "80", "--updates", "60", "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_somebody_clicks_through_and_finds_it_again_the_next_time(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    with demo(home) as said, chromium() as browser:
        assert said["url"].startswith("https://127.0.0.1:")
        with reader(browser, said["url"].rstrip("/")) as window:
            page = window.open("/sign-in")
            page.get_by_label("Name").fill(said["name"])
            page.get_by_label("Password").fill(said["password"])
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("heading", level=1)).to_contain_text("up to date")
            expect(page.get_by_text("Could not look for updates")).to_be_visible()
            window.open("/updates").get_by_role("link", name="urgent", exact=True).click()
            page.wait_for_url(re.compile("q=risk"))
            window.open("/machines?standing=required").locator("a.rowlink").first.click()
            page.get_by_role("link", name=re.compile(r"^why\?")).first.click()
            expect(page.locator(".lead")).to_contain_text("Needed")
            window.open("/machines?owner=Shop+team").locator("a.rowlink").first.wait_for()
            page = window.open("/collections")
            page.get_by_role("link", name="Web servers", exact=True).click()
            expect(page.get_by_text("Tuesday and Thursday of every week")).to_be_visible()
            assert window.complaints == []
        shown = subprocess.run(
            ["/bin/sh", "-c", '. "$0"; exec patchtide overview --json', said["environment"]],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            check=True,
        )
        assert json.loads(shown.stdout)["reporting"] > 0

    with demo(home) as again:
        assert again["password"] == said["password"]
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    with closing(sqlite3.connect(home / "patchtide.db")) as database:
        assert database.execute("SELECT count(*) FROM history_day").fetchone()[0] >= 61
