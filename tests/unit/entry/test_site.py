"""What machines say they saw is looked up in what is published: off the loop, once a second."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from patchtide.entry.server import site as module
from patchtide.entry.server.site import PublishedSite

pytestmark = pytest.mark.anyio
OURS = ("timestamp", b"o" * 32)


class FakeRepository:
    def __init__(self) -> None:
        self.digests: set[tuple[str, bytes]] = set()
        self.readers: list[threading.Thread] = []

    def root(self) -> tuple[int, bytes]:
        return 1, b"{}"

    def metadata_digests(self) -> set[tuple[str, bytes]]:
        self.readers.append(threading.current_thread())
        return set(self.digests)


def a_site() -> tuple[PublishedSite, FakeRepository]:
    repository: Any = FakeRepository()
    site = PublishedSite("main", Ed25519PrivateKey.generate(), repository)
    repository.readers.clear()
    return site, repository


async def test_inventions_of_many_machines_cost_one_read_and_not_the_loop() -> None:
    site, repository = a_site()

    known = await asyncio.gather(
        *(site.knows_metadata("snapshot", n.to_bytes(32)) for n in range(500))
    )

    assert not any(known) and len(repository.readers) == 1
    assert threading.current_thread() not in repository.readers


async def test_what_another_node_published_just_now_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "READ_EVERY_S", 0.2)
    site, repository = a_site()
    assert not await site.knows_metadata("timestamp", b"x" * 32)
    clock = asyncio.get_running_loop().time
    started = clock()
    repository.digests.add(OURS)

    known = [await site.knows_metadata(*OURS) for _ in range(3)]

    assert all(known) and len(repository.readers) == 2
    assert clock() - started > 0.1


async def test_a_read_that_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_EVERY_S", 0.0)
    site, repository = a_site()
    repository.digests.add(OURS)

    def broken() -> set[tuple[str, bytes]]:
        raise OSError(5, "input/output error")

    with monkeypatch.context() as trouble:
        trouble.setattr(repository, "metadata_digests", broken)
        with pytest.raises(OSError, match="input/output"):
            await site.knows_metadata(*OURS)

    assert await site.knows_metadata(*OURS)
