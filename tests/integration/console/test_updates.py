"""The list of updates and the page of one, over a catalog in a real database."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from patchtide.domain.catalog.details import FileSource
from tests.integration.console.visitor import ConsoleSite
from tests.simulator.catalogs import a_leaf, an_update_id, some_details
from tests.simulator.reports import NOON

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


async def test_terms_are_accepted_and_a_rating_is_given_on_the_page(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    await site.catalog.publish(
        [a_leaf(1, "toy")], details=[replace(some_details("toy"), licence="x")]
    )
    path = f"/updates/{an_update_id('toy')}"
    before = (await visitor.get(f"{path}?tab=about")).body.decode()
    digest = re.findall(r'name="sha256" value="([0-9a-f]{64})"', before)[0]

    accepted = await visitor.post(f"{path}/licence", {"sha256": digest})
    rated = await visitor.post(
        f"{path}/rating", {"exploited": "yes", "reach": "anywhere", "note": "seen in the wild"}
    )
    after = (await visitor.get(f"{path}?tab=about")).body.decode()

    assert (accepted.status, rated.status) == (303, 303)
    assert "Accepted for this site" in after and "seen in the wild" in after
    assert "rated here" in after


async def test_what_is_expired_or_superseded_says_so(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    new = replace(some_details("new"), supersedes=(an_update_id("old"),))
    gone = replace(some_details("gone"), expired_at=NOON)
    await site.catalog.publish(
        [a_leaf(1, "old"), a_leaf(2, "new")], details=[some_details("old"), new, gone]
    )

    listed = (await visitor.get("/updates?sort=title")).body.decode()
    old = (await visitor.get(f"/updates/{an_update_id('old')}?tab=about")).body.decode()

    assert listed.count('class="expired"') == 1 and "<strong>Superseded</strong>" in listed
    assert "Superseded</strong> by" in old and f"/updates/{an_update_id('new')}" in old
