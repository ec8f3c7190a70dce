"""The list of updates and the page of one, over a catalog in a real database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from patchtide.domain.catalog.details import FileSource
from tests.integration.console.visitor import ConsoleSite
from tests.simulator.catalogs import a_leaf, an_update_id, some_details

pytestmark = pytest.mark.anyio


async def test_a_page_tells_how_an_update_is_installed_and_what_its_licence_says(
    site: ConsoleSite,
) -> None:
    visitor = await site.signed_in()
    told = replace(
        some_details("toy"),
        advisories=("DSA-1-1",),
        languages=("pt-BR",),
        max_run_time=timedelta(minutes=5),
        licence="Play <nicely>.",
        sources=(FileSource(bytes(32), "https://example.org/toy.deb"),),
    )
    leaf = replace(a_leaf(1, "toy"), exclusive=True)
    await site.catalog.publish([leaf], details=[told])

    page = (await visitor.get(f"/updates/{an_update_id('toy')}?tab=about")).body.decode()

    for text in ("DSA-1-1", "pt-BR", "5 minutes", "alone;", "https://example.org/toy.deb"):
        assert text in page
    assert "Play &lt;nicely&gt;." in page
