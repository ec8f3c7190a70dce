"""What changed on a machine, on its page."""

from __future__ import annotations

from hashlib import sha256

import pytest

from patchtide.wire.inventory import HardwareV1, hardware, package_list
from tests.integration.console.visitor import ConsoleSite

pytestmark = pytest.mark.anyio


async def test_the_page_of_a_machine_tells_what_changed_there(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    [machine] = await site.machines("web-1")
    [client] = site.storage.clients()

    async def tell(kind: str, body: bytes, *, days: int) -> None:
        digest, now = sha256(body).digest(), site.clock.now().timestamp() + 86_400 * days
        await site.storage.put_inventory(
            client.number, kind=kind, digest=digest, body=body, now=now
        )

    for days in (0, 1):
        rows = [(f"<b>p{n}", str(days), "all") for n in range(6)]
        await tell("packages", package_list(rows), days=days)
    page = f"/machines/{machine}?tab=facts"
    many = (await visitor.get(page)).body.decode()
    await tell("hardware", hardware(HardwareV1(kernel="6.1", addresses=("10.0.0.1",))), days=2)
    await tell("hardware", hardware(HardwareV1(kernel="6.2")), days=3)
    told = (await visitor.get(page)).body.decode()

    assert "6 packages: 6 changed, 0 installed, 0 removed" in many
    assert "<bdi>&lt;b&gt;p0</bdi>" in many
    assert "Kernel" in told and "6.1</bdi> →" in told
    assert "gone:</span>" in told and told.index("gone:") < told.index("6 packages")
