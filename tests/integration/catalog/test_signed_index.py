"""The signed index follows the database, whatever fails, and never goes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from patchtide.adapters.trust.keys import KeyFolder, KeysElsewhere
from patchtide.domain.errors import InvalidDocument
from patchtide.server.ports.decisions import Transaction
from patchtide.server.publication import RECORD
from tests.integration.catalog.node import Node, a_leaf, node
from tests.simulator.clock import START

pytestmark = pytest.mark.anyio
FEED = "debian-12"


@pytest.fixture
async def here(database_url: str, tmp_path: Path) -> AsyncIterator[Node]:
    async with node(database_url, tmp_path / "here") as made:
        yield made


async def only_in_force(node: Node, shard: str, name: str) -> None:
    """Publish, and die before any file is written."""

    async def nothing(shard: object) -> None: ...

    whole = node.catalog._writer.write
    node.catalog._writer.write = nothing  # type: ignore[method-assign]
    await node.publish(shard, a_leaf(name))
    node.catalog._writer.write = whole  # type: ignore[method-assign]


@contextmanager
def without_keys(folder: Path, role: str) -> Iterator[None]:
    keys = folder / "keys"
    moved = {path: path.read_bytes() for path in keys.glob(f"{role}.*")}
    for key_id in KeyFolder(keys).key_ids(role):
        KeyFolder(keys).remove(role, key_id)
    try:
        yield
    finally:
        for path, data in moved.items():
            path.write_bytes(data)


@pytest.mark.parametrize("shard", ["vendor-12/1", "..", "", "Debian", "a" * 65])
async def test_a_shard_with_a_strange_name_never_comes_into_force(here: Node, shard: str) -> None:
    with pytest.raises(InvalidDocument, match="no name of a shard"):
        await here.publish(shard, a_leaf("nginx"))

    assert here.storage.shards() == []


async def test_what_this_server_cannot_sign_never_comes_into_force(here: Node) -> None:
    with without_keys(here.folder, "publisher"), pytest.raises(KeysElsewhere):
        await here.publish("custom", a_leaf("nginx"))

    assert here.storage.shards() == []


async def test_a_shard_that_cannot_be_signed_keeps_neither_others_nor_the_server_back(
    here: Node, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await only_in_force(here, "custom", "nginx")
    await only_in_force(here, FEED, "curl")

    with without_keys(here.folder, "publisher"), caplog.at_level(logging.ERROR):
        async with node(database_url, tmp_path / "here") as again:
            await again.catalog.catch_up()
            assert again.catalog.serials() == {FEED: 1}
            told = [record.getMessage() for record in caplog.records]
    await again_with_keys(database_url, tmp_path / "here")

    assert told == ["custom is not published"]


def signed_serial(node: Node) -> int:
    return node.catalog._files.signed([FEED])[FEED].serial


async def again_with_keys(url: str, folder: Path) -> None:
    async with node(url, folder) as again:
        assert again.catalog.serials() == {"custom": 1, FEED: 1}


async def test_an_index_that_another_node_has_overtaken_is_not_signed(
    here: Node, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await here.publish(FEED, a_leaf("nginx"))
    loop = asyncio.get_running_loop()
    put: Any = here.content.put
    signed: list[int] = []
    async with node(database_url, tmp_path / "here") as other:

        def put_late(data: bytes) -> str:
            monkeypatch.setattr(type(here.content), "put", lambda _, data: put(data))
            late = other.publish(FEED, a_leaf("perl"))
            asyncio.run_coroutine_threadsafe(late, loop).result(20)
            signed.append(signed_serial(here))
            return str(put(data))

        monkeypatch.setattr(type(here.content), "put", lambda _, data: put_late(data))
        here.decisions.before = lambda *_: signed.append(signed_serial(here))
        await here.publish(FEED, a_leaf("curl"))

    # At no moment after the later serial was signed could a crash have left the earlier one.
    assert signed == sorted(signed) and signed[-1] == 3
    assert here.catalog.serials() == {FEED: 3}
    assert here.fetched(FEED, {}, serial=0) == ["curl", "nginx", "perl"]


async def test_what_was_signed_and_not_noted_is_noted_at_the_next_start(
    here: Node, database_url: str, tmp_path: Path
) -> None:
    def die(operation: str, count: int) -> None:
        if operation == "catalog.published":
            raise InterruptedError

    here.decisions.before = die
    with pytest.raises(InterruptedError):
        await here.publish(FEED, a_leaf("nginx"))
    assert here.catalog.serials() == {}

    async with node(database_url, tmp_path / "here") as again:
        assert again.catalog.serials() == {FEED: 1}
        assert again.catalog.shards()[0].leaves == 1


async def test_a_database_that_was_put_back_goes_on_above_what_was_signed(
    here: Node, database_url: str, tmp_path: Path
) -> None:
    await here.publish(FEED, a_leaf("nginx"))
    old = here.storage.setting(RECORD + FEED) or b""
    for name in ("curl", "perl"):
        await here.publish(FEED, a_leaf(name))
    lost = here.catalog._files.entries(FEED, at=3)

    def put_back(tx: Transaction) -> None:
        while tx.take_back_leaves(FEED, 2, limit=100):
            pass
        tx.put_setting(RECORD + FEED, old)

    await here.storage.decide("test", "test", put_back, now=START)
    async with node(database_url, tmp_path / "here") as again:
        assert again.catalog.serials() == {FEED: 256}
        assert again.fetched(FEED, lost, serial=3) == ["nginx"]
        held = again.catalog._files.entries(FEED, at=256)

        for n in range(20):
            await again.publish(FEED, a_leaf(f"pkg-{n}"))

        now = sorted(["nginx", *(f"pkg-{n}" for n in range(20))])
        assert again.fetched(FEED, lost, serial=3) == again.fetched(FEED, held, serial=256) == now
