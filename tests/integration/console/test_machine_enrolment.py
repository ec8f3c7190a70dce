"""The one command that enrols an expected machine: on its page, by a press, shown once."""

from __future__ import annotations

import re
from uuid import UUID

import pytest

from tests.integration.console.visitor import ConsoleSite

pytestmark = pytest.mark.anyio
PANEL = "Enrol this machine"


async def test_the_command_for_an_expected_machine_is_made_and_shown_once(
    site: ConsoleSite,
) -> None:
    visitor, reader = await site.signed_in(), await site.signed_in("rita", "auditor")
    [there] = await site.machines("web-2")
    await visitor.get("/machine-import")
    await visitor.upload("/machine-import", b"name\nweb-1\n", act="import", expect="yes")
    [client] = [one for one in site.storage.clients() if one.name == "web-1"]
    here = f"/machines/{UUID(bytes=client.uuid)}"
    shown = (await visitor.get(here)).body.decode()
    before = list(site.storage.enrolment_tokens())

    made = await visitor.post(f"{here}/enrolment")

    [token] = re.findall(r"pt1\.[0-9a-f.]+", made.body.decode())[:1]
    [kept] = site.storage.enrolment_tokens()
    text = made.body.decode()
    assert PANEL in shown and not before
    assert f"echo {token} | sudo patchtide agent enrol --server https://site.example" in text
    assert made.status == 200 and made.headers["cache-control"] == "no-store"
    assert (kept.machine, kept.uses_left, kept.approve) == (client.uuid, 1, False)
    after = [(await visitor.get(page)).body.decode() for page in (here, "/tokens", "/audit")]
    assert not any(token in page for page in after)
    assert "only <a" in after[1] and "web-1" in after[1]
    assert PANEL not in (await visitor.get(f"/machines/{there}")).body.decode()
    assert PANEL not in (await reader.get(here)).body.decode()
    assert (await reader.post(f"{here}/enrolment")).status == 403
    assert (await visitor.post(f"/machines/{there}/enrolment")).status == 409
