"""Draw docs/images/console.png: the console's overview over a furnished fleet of 1,000 machines.

    python -m scripts.console_picture [FILE]      (from the root of the tree)

It starts a server of its own, claims it, and looks with Debian's Chromium.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.simulator.browser import chromium, reader
from tests.simulator.furnished import furnished

PASSWORD = "four words in a row"
SIZE = {"width": 1200, "height": 750}
MOST_BYTES = 150_000


def draw(file: Path) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="patchtide-picture-") as home,
        furnished(Path(home), 1000) as site,
        chromium() as browser,
        reader(browser, site.url, viewport=SIZE) as window,
    ):
        page = window.open(f"/welcome#{site.code}")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("The password again").fill(PASSWORD)
        page.get_by_role("button", name="Claim this site").click()
        page.get_by_role("heading", name="Needed most").wait_for()
        file.write_bytes(page.screenshot())
    if file.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{file} is larger than {MOST_BYTES} bytes")


if __name__ == "__main__":
    draw(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/console.png"))
