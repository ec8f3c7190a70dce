"""What changed on a machine is kept, on both databases; of its first lists nothing is."""

from __future__ import annotations

from hashlib import sha256

import pytest

from patchtide.adapters.storage import Storage
from patchtide.server.fact_changes import KEPT, FactUpkeep, changes_of
from patchtide.server.ports.reports import HeldInventory
from patchtide.wire.inventory import HardwareV1, hardware, package_list
from tests.simulator.reports import enrolled

pytestmark = pytest.mark.anyio
HOUR = 3600.0


async def tell(storage: Storage, client: int, kind: str, body: bytes, at: float) -> None:
    digest = sha256(body).digest()
    await storage.put_inventory(client, kind=kind, digest=digest, body=body, now=at)


def packages(version: int) -> bytes:
    return package_list([("openssl", str(version), "amd64")])


def told(storage: Storage, client: int) -> list[tuple[float, str, str, str]]:
    found = changes_of(storage.fact_history, client)
    return [(at, d.what, d.was, d.now) for at, _, some in found for d in some.rows]


async def test_changes_are_told_before_and_after_they_were_worked_out(storage: Storage) -> None:
    one, other = (c.number for c in await enrolled(storage, 2))
    for client in (one, other):
        await tell(storage, client, "packages", packages(1), 1.0)
        await tell(storage, client, "hardware", hardware(HardwareV1(kernel="6.1")), 1.0)
        await tell(storage, client, "facts", b"\x80", 1.0)
    first = storage.fact_history.changed(limit=9)
    await tell(storage, one, "packages", packages(1), 2.0)
    await tell(storage, one, "packages", packages(2), 3.0)
    await tell(storage, one, "hardware", hardware(HardwareV1(kernel="6.2")), 4.0)
    await tell(storage, one, "facts", b"\x81\xa1a\xa1b", 4.0)
    # The other one says that it has the same, and sends no body.
    same = HeldInventory(client=other, kind="packages", digest=sha256(packages(2)).digest(), at=5.0)
    await storage.hold_inventory([same])
    before = told(storage, one), told(storage, other)

    await storage.trim(now=10 * HOUR)  # what is not worked out yet needs the old bodies
    await FactUpkeep(storage.fact_history).run()
    await storage.trim(now=10 * HOUR)

    assert first == []
    assert before == (
        [(4.0, "kernel", "6.1", "6.2"), (3.0, "openssl", "1", "2")],
        [(5.0, "openssl", "1", "2")],
    )
    assert (told(storage, one), told(storage, other)) == before
    assert storage.fact_history.changed(limit=9) == []
    assert storage.fact_history.bodies([sha256(packages(1)).digest()]) == {}


async def test_of_each_machine_the_newest_changes_are_kept(storage: Storage) -> None:
    [client] = await enrolled(storage, 1)
    for n in range(KEPT + 4):
        await tell(storage, client.number, "packages", packages(n), float(n))
        if n % 9 == 0:
            await FactUpkeep(storage.fact_history).run()
    await FactUpkeep(storage.fact_history).run()

    found = told(storage, client.number)

    assert len(found) == KEPT
    assert found[0] == (KEPT + 3.0, "openssl", str(KEPT + 2), str(KEPT + 3))
