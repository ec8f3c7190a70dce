"""Named reports in the console: each with its page, its files, and words for what went wrong."""

from __future__ import annotations

import re

import pytest

from patchtide.server.named_reports import NAMED
from tests.integration.console.visitor import ConsoleSite, Visitor
from tests.simulator.catalogs import a_leaf, a_scan, an_update_id, some_details
from tests.simulator.reports import enrolled

pytestmark = pytest.mark.anyio


async def auditor(site: ConsoleSite) -> Visitor:
    """Of two machines one needs openssl and the other has it."""
    visitor = await site.signed_in("ada", "auditor")
    await site.catalog.publish([a_leaf(1, "openssl")], details=[some_details("openssl")])
    first, second = await enrolled(site.storage, 2)
    now = site.clock.now().timestamp()
    serial = site.catalog.serial
    await site.storage.accept(
        [
            a_scan(first.number, 1, serial=serial, required=[1]),
            a_scan(second.number, 1, serial=serial, installed=[1]),
        ],
        now=now,
    )
    return visitor


async def read(visitor: Visitor, path: str) -> str:
    answer = await visitor.get(path)
    assert answer.status == 200, path
    return answer.body.decode()


async def test_every_report_has_a_page_a_way_to_files_and_words_for_nothing(
    site: ConsoleSite,
) -> None:
    visitor = await auditor(site)

    index = await read(visitor, "/reports")
    for name, one in NAMED.items():
        about = "" if "machines" in one.lacks else "?machines=nobody"
        page = await read(visitor, f"/reports/{name}{about}")
        assert "Reports" in page
        assert name == "machine" or "format=xlsx" in page
    file = await visitor.get("/reports/by-update?format=csv")

    assert all(f"/reports/{name}" in index for name in NAMED if name != "machine")
    assert str(an_update_id("openssl")) in file.body.decode()
    assert file.headers["content-disposition"].startswith('attachment; filename="by-update-')


async def test_a_matrix_of_machines_leads_from_every_cell_to_why(site: ConsoleSite) -> None:
    visitor = await auditor(site)

    page = await read(visitor, "/reports/matrix?by=machine")
    cells = re.findall(r'<a href="(/machines/[^"]+/why/[^"]+)">(\w+)</a>', page)
    why = await read(visitor, cells[0][0])
    file = (await visitor.get("/reports/matrix?by=machine&format=csv")).body.decode()
    elsewhere = (await visitor.get("/reports/overall?by=machine")).body.decode()

    assert [state for _, state in cells] == ["Needed", "Installed"]
    assert "Machines shown" in page and "openssl" in why
    assert file.startswith("title,severity,risk,all,machine:web-0,machine:web-1,id")
    assert "by is machine in the matrix alone" in " ".join(elsewhere.split())


async def test_a_query_that_cannot_be_read_is_shown_with_its_mistake(site: ConsoleSite) -> None:
    visitor = await auditor(site)

    page = await read(visitor, "/reports/overall?machines=platform+%3D")

    assert "data-misread" in page
    assert 'value="platform ="' in page
