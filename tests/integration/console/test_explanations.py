"""Why, and what if, on pages that need no script: trees, verdicts in words, rules with carets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from urllib.parse import quote
from uuid import UUID

import pytest

from patchtide.domain.applicability.facts import Facts
from patchtide.domain.catalog.rules import Or, PackageFormat, PackageInstalled
from patchtide.server.whatif_run import WhatIfRun
from patchtide.wire.inventory import facts_list, package_list
from tests.integration.console.visitor import ConsoleSite
from tests.simulator.catalogs import a_leaf, a_scan, an_update_id, some_details

pytestmark = pytest.mark.anyio
DEBIAN = Facts(os_id="debian", os_version="12", packages={PackageFormat.DEB: {}})


async def told(site: ConsoleSite, machine: UUID, *rows: tuple[str, str, str]) -> None:
    """The machine has reported that it needs nothing, and told these packages."""
    [client] = site.storage.clients_of([machine.bytes])
    now = site.clock.now().timestamp()
    await site.storage.accept([a_scan(client.number, 1)], now=now)
    for kind, body in (("facts", facts_list(DEBIAN)), ("packages", package_list(rows))):
        digest = sha256(body).digest()
        await site.storage.put_inventory(
            client.number, kind=kind, digest=digest, body=body, now=now
        )


@pytest.fixture
async def machines(site: ConsoleSite) -> tuple[UUID, UUID]:
    """One with an old openssl, and one without any."""
    many: Iterable[PackageInstalled] = (
        PackageInstalled(PackageFormat.DEB, f"libssl{n}") for n in range(9)
    )
    leaf = a_leaf(1, "openssl")
    leaf = replace(leaf, applicable=Or((leaf.applicable, *many)))
    await site.catalog.publish([leaf], details=[some_details("openssl")])
    old, none = await site.machines("old", "none")
    await told(site, old, ("openssl", "1.0-1", "amd64"))
    await told(site, none)
    return old, none


async def test_a_state_in_a_list_leads_to_the_reasons_for_it(
    site: ConsoleSite, machines: tuple[UUID, UUID]
) -> None:
    visitor = await site.signed_in()
    old, _ = machines
    address = f"/machines/{old}/why/{an_update_id('openssl')}"

    lists = [f"/machines/{old}?state=not-required", f"/updates/{an_update_id('openssl')}"]
    for path in lists:
        assert f'href="{address}"' in (await visitor.get(path)).body.decode()
    page = (await visitor.get(address)).body.decode()

    assert "Is what it concerns here?" in page and "The system is debian 12." in page
    assert "openssl is installed in version 1.0-1 (amd64): that is older than 2.0-1." in page
    assert "The machine itself says: not needed." in page
    assert "<details><summary>9 packages that are not installed</summary>" in page
    assert "libssl8 is not installed." in page


async def test_the_whole_fleet_is_asked_before_anything_is_published(
    site: ConsoleSite, machines: tuple[UUID, UUID]
) -> None:
    visitor = await site.signed_in()
    old, none = machines
    rule = quote("deb openssl < 2")

    page = (await visitor.get(f"/whatif?rule={rule}")).body.decode()
    needed = (await visitor.get(f"/whatif?rule={rule}&state=required")).body.decode()
    why = (await visitor.get(f"/whatif/{none}?rule={rule}")).body.decode()

    assert "1 of 2 machines would need it" in page and str(none) in page
    assert f'href="/whatif/{old}?rule=deb+openssl+%3C+2"' in needed and str(none) not in needed
    assert "openssl is not installed." in why


async def test_mistakes_stand_below_the_box_that_they_are_in(site: ConsoleSite) -> None:
    visitor = await site.signed_in()

    answer = await visitor.get(f"/whatif?rule={quote('deb openssl <')}&installed=os")
    page = answer.body.decode()

    assert answer.status == 200 and page.count('class="problem"') == 2
    assert "^" in page and "deb openssl &lt;</textarea>" in page
    assert (await visitor.get("/whatif/" + "0" * 32 + "?rule=os")).status == 404


async def test_what_is_not_done_yet_says_how_far_it_is(
    site: ConsoleSite, machines: tuple[UUID, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = await site.signed_in()
    monkeypatch.setattr(WhatIfRun, "work", lambda self: self.stop())

    page = (await visitor.get("/whatif?rule=always")).body.decode()

    assert "0 of 0 machines looked at" in page and "Look again" in page
