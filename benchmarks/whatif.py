"""What if: rules held against what machines have told, of which no two have the same packages.

A thousand machines of 1,500 packages each, every list another one; and ten thousand that share a
hundred lists between them, as machines made from images do. The baseline is the same lists read
from the same database and decoded, with no question asked. All of it is processor time.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from patchtide.adapters.storage import Storage
from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.facts import Facts
from patchtide.domain.applicability.questions import Question
from patchtide.domain.catalog.rules import PackageFormat
from patchtide.server.asked_rules import leaf_asked
from patchtide.server.ports.reports import HeldInventory
from patchtide.server.whatif_run import WhatIfRun
from patchtide.wire.inventory import facts_list, package_list, package_rows
from tests.simulator.reports import enrolled

PACKAGES, DIFFERENT, ALIKE, IMAGES = 1_500, 1_000, 10_000, 100
RULE = "os debian 12 and (deb lib7-common < 1.5 or deb lib900-common < 1.5)"
DEBIAN = Facts(
    os_id="debian", os_version="12", architecture="amd64", packages={PackageFormat.DEB: {}}
)


def packages_of(machine: int) -> bytes:
    """Return a list like every other but for some versions."""
    rows = (
        (f"lib{n}-common", f"1.{(n + machine) % 7 if n % 31 == machine % 31 else n % 9}-1", "amd64")
        for n in range(PACKAGES)
    )
    return package_list((*rows, ("machine-id", f"{machine}.0-1", "all")))


class AllActive:
    """A fleet in which every machine is let in and follows one shard."""

    def __init__(self, storage: Storage, clients: Sequence[int]) -> None:
        self.store = storage
        states = SimpleNamespace(states=SimpleNamespace(shards={"debian-12": 1}))
        self._view = SimpleNamespace(active=clients, members=dict.fromkeys(clients, states))

    def ask(self, question: Any) -> Any:
        return question(self._view)


async def tell(storage: Storage, clients: Sequence[int], lists: int) -> None:
    facts = facts_list(DEBIAN)
    bodies = [packages_of(n) for n in range(lists)]
    for n, body in enumerate(bodies):
        await _put(storage, clients[n], "packages", body)
    await _put(storage, clients[0], "facts", facts)
    held = [
        HeldInventory(client=client, kind=kind, digest=sha256(body).digest(), at=2.0)
        for n, client in enumerate(clients)
        for kind, body in (("facts", facts), ("packages", bodies[n % lists]))
    ]
    for part in _parts(held, 500):
        await storage.hold_inventory(part)


async def _put(storage: Storage, client: int, kind: str, body: bytes) -> None:
    digest = sha256(body).digest()
    await storage.put_inventory(client, kind=kind, digest=digest, body=body, now=1.0)


def _parts(values: Sequence[HeldInventory], size: int) -> Iterator[Sequence[HeldInventory]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def asked(storage: Storage, clients: Sequence[int]) -> tuple[float, WhatIfRun]:
    leaf = leaf_asked(rule=RULE, prerequisite="always", installed="never")
    run = WhatIfRun(AllActive(storage, clients), Question(leaf))  # type: ignore[arg-type]
    began = time.process_time()
    run.work()
    return time.process_time() - began, run


def decoded(storage: Storage) -> float:
    began = time.process_time()
    digests = storage.inventory_digests(limit=10 * DIFFERENT)
    for start in range(0, len(digests), 32):
        for body in storage.inventory_bodies(digests[start : start + 32]).values():
            if len(body) > 10_000:
                package_rows(body)
    return time.process_time() - began


async def fleet(folder: Path, machines: int, lists: int) -> tuple[Storage, list[int]]:
    storage = Storage.open(f"sqlite:///{folder}/{machines}.db")
    clients = [client.number for client in await enrolled(storage, machines)]
    await tell(storage, clients, lists)
    return storage, clients


async def measured(folder: Path) -> None:
    storage, clients = await fleet(folder, DIFFERENT, DIFFERENT)
    took, run = await asyncio.to_thread(asked, storage, clients)
    bare = await asyncio.to_thread(decoded, storage)
    found = run.found()
    counts = ", ".join(f"{len(found.by_state[state])} {state.value}" for state in LeafState)
    print(f"{DIFFERENT} machines, {PACKAGES} packages each, in {found.cases} cases: {counts}")
    print(f"what-if, 1,000 machines all different\t{took:.2f} s\t<= 1 s\t{bare:.2f} s")
    await storage.close()
    storage, clients = await fleet(folder, ALIKE, IMAGES)
    took, _ = await asyncio.to_thread(asked, storage, clients)
    print(f"what-if, 10,000 machines of 100 images\t{took:.2f} s\t<= 0.5 s\t-")
    await storage.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measured(Path(folder)))


if __name__ == "__main__":
    main()
