"""The list of updates and the page of one, over a catalog in a real database."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs

import pytest

from patchtide.domain.catalog.details import FileSource, Severity
from tests.integration.console.visitor import ConsoleSite, Visitor
from tests.simulator.catalogs import a_leaf, an_update_id, some_details
from tests.simulator.reports import NOON

pytestmark = pytest.mark.anyio
NAMES = ("openssl", "curl", "bash")


async def three(site: ConsoleSite) -> Visitor:
    visitor = await site.signed_in()
    severities = (Severity.CRITICAL, Severity.LOW, Severity.IMPORTANT)
    told = [some_details(n, severity=s) for n, s in zip(NAMES, severities, strict=True)]
    await site.catalog.publish(
        [a_leaf(number, name) for number, name in enumerate(NAMES, start=1)], details=told
    )
    return visitor


def titles(page: str) -> list[str]:
    return re.findall(r'class="rowlink".*?<bdi>(\w+)</bdi>', page)


async def test_a_query_stands_in_the_address_and_finds_what_it_says(site: ConsoleSite) -> None:
    visitor = await three(site)

    by_risk = await visitor.get("/updates?q=severity+%3E%3D+important&sort=-risk")
    export = await visitor.get("/updates?q=severity+%3E%3D+important&format=json&sort=title")

    page = by_risk.body.decode()
    assert titles(page) == ["openssl", "bash"] and "is-risk-emergency" in page
    assert [row["title"].split()[0] for row in export.json] == ["bash", "openssl"]


async def test_every_mistake_of_a_query_is_marked_at_its_place(site: ConsoleSite) -> None:
    visitor = await three(site)

    page = (await visitor.get("/updates?q=severty+%3D+low+and+age+%3E+3")).body.decode()
    export = await visitor.get("/updates?q=severty+%3D+low&format=csv")

    assert page.count("<pre") == 2 and "did you mean `severity`?" in page
    assert "severty = low and age &gt; 3\n  ^^^^^^^</pre>" in page
    assert f"severty = low and age &gt; 3\n  {' ' * 24}^</pre>" in page
    assert "Queries that work" in page and export.status == 400


FILTERS = {
    "a link puts a condition in": ("q=curl&severity=low", '"curl" and severity = low'),
    "another choice takes its place": (
        "q=severity%3Dlow+curl&severity=critical",
        '"curl" and severity = critical',
    ),
    "any takes it out": ("q=severity%3Dlow+and+curl&severity=any", '"curl"'),
    "an old bookmark goes on": (
        "needed=yes&status=current",
        "required > 0 and not (superseded or expired)",
    ),
    "what nobody touched is left as it was written": (
        "q=curl+severity%3Dlow&was=curl+severity%3Dlow&severity=low",
        "curl severity=low",
    ),
    "what somebody took out by hand stays out": (
        "q=curl&was=curl+severity%3Dlow&severity=low&risk=any",
        "curl",
    ),
}


@pytest.mark.parametrize(("asked", "written"), FILTERS.values(), ids=FILTERS)
async def test_a_filter_writes_a_part_of_the_query(
    site: ConsoleSite, asked: str, written: str
) -> None:
    visitor = await three(site)

    answer = await visitor.get(f"/updates?{asked}&sort=title")

    assert answer.status == 303
    said = parse_qs(answer.headers["location"].partition("?")[2])
    assert said == {"q": [written], "sort": ["title"]}


async def test_a_query_that_cannot_be_read_is_left_alone_by_filters(site: ConsoleSite) -> None:
    visitor = await three(site)

    answer = await visitor.get("/updates?q=age+%3E&severity=low")

    assert answer.headers["location"] == "/updates?q=age+%3E"


async def test_a_query_is_completed_where_somebody_writes(site: ConsoleSite) -> None:
    visitor = await three(site)

    found = (await visitor.get("/query-completions?text=feed+%3D+deb+or+x&position=10")).json

    assert found["start"] == 7
    assert [one["text"] for one in found["items"]] == ["debian-security"]


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
