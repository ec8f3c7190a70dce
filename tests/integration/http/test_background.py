"""A running server does its upkeep by itself: what is due appears without anybody asking."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from patchtide.adapters.content.files import FileContentStore
from patchtide.adapters.http.descriptors import Room
from patchtide.adapters.storage import Storage
from patchtide.adapters.storage.audit_segments import read_segment
from patchtide.adapters.trust.keys import KeyFolder
from patchtide.entry.cli.commands import run
from patchtide.entry.server import assembly, background, serving
from patchtide.entry.server.porter_process import CROWD
from patchtide.entry.server.settings import read_settings
from patchtide.entry.server.site import PublishedSite
from patchtide.server import upkeep
from patchtide.server.catalog import CatalogPublisher
from tests.integration.catalog.node import a_leaf
from tests.integration.http.test_porter import porters
from tests.simulator.restoring import mark_restored

pytestmark = pytest.mark.anyio


async def test_a_running_server_archives_its_audit_signed_by_its_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "UPKEEP_S", 0.02)
    monkeypatch.setattr(upkeep, "SEGMENT_AGE", timedelta(0))
    settings = read_settings(["--home", str(tmp_path), "--host", "127.0.0.1", "--port", "0"], {})

    async with serving.running(settings) as server:
        async with asyncio.timeout(20):
            while not (found := list((tmp_path / "audit").glob("*.jsonl"))):
                await asyncio.sleep(0.02)
        entries = server.storage.audit()

    head, told = read_segment(found[0].read_bytes(), serving._seal(server.keys).check)
    assert [e["operation"] for e in told] == [e.operation for e in entries][: head["last"]]
    assert told[0]["operation"] == "catalog.begin"


async def test_a_running_server_has_a_porter_in_a_crowd_and_ends_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = read_settings(["--home", str(tmp_path), "--host", "127.0.0.1", "--port", "0"], {})

    async with serving.running(settings) as server:
        trusting = ssl.create_default_context(cafile=str(server.keys.ca_certificate))

        async def come() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection("localhost", server.port, ssl=trusting)

        async def say(path: bytes, sent: bytes = b"") -> bytes:
            reader, writer = await come()
            writer.write(b"%b HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n" % path + sent)
            came.append(writer)
            return await reader.readuntil(b"\r\n")

        came = [(await come())[1] for _ in range(CROWD + 1)]
        async with asyncio.timeout(20):
            while not porters():
                await asyncio.sleep(0.02)
        said = {await say(b"GET /api/v1/health") for _ in range(30)}
        refused = {await say(b"POST /agent/v1/checkin") for _ in range(30)}
        began = time.monotonic()

    # Nobody of those who came says farewell.
    assert time.monotonic() - began < 5
    assert said == {b"HTTP/1.1 200 OK\r\n"}
    assert refused == {b"HTTP/1.1 401 Unauthorized\r\n"}
    assert porters() == []
    assert "accepted within the server" not in caplog.text
    for writer in came:
        writer.transport.abort()


async def test_a_running_server_notices_that_its_database_was_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "EPOCH_S", 0.02)
    settings = read_settings(["--home", str(tmp_path), "--host", "127.0.0.1", "--port", "0"], {})

    async with serving.running(settings) as server:
        await mark_restored(server.storage, now=server.context.clock.now())
        async with asyncio.timeout(20):
            while "the database was restored" not in caplog.text:
                await asyncio.sleep(0.02)


async def test_a_running_server_learns_what_another_node_has_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "FOLLOW_S", 0.02)
    settings = read_settings(["--home", str(tmp_path), "--host", "127.0.0.1", "--port", "0"], {})
    told: list[Mapping[str, int]] = []
    monkeypatch.setattr(PublishedSite, "published", lambda _, serials: told.append(serials))

    async with serving.running(settings) as server:
        other = CatalogPublisher(
            decisions=server.storage,
            reading=server.storage,
            content=FileContentStore(tmp_path / "content"),
            signer=server.repository,
            clock=server.context.clock,
            published=lambda serials: None,
        )
        await other.publish("another node", "debian-12", leaves=[a_leaf("openssl")])
        async with asyncio.timeout(20):
            while {"debian-12": 1} not in told:
                await asyncio.sleep(0.02)

    assert told[-1] == {"debian-12": 1}


def entries_of(storage: Storage, operation: str) -> list[Mapping[str, object]]:
    return [x.detail for x in storage.audit(limit=100) if x.operation == operation]


@pytest.mark.parametrize(("delegating", "named"), [("root", "targets"), ("targets", "publisher")])
async def test_a_running_server_notices_who_may_sign_that_was_changed_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delegating: str, named: str
) -> None:
    monkeypatch.setattr(background, "FOLLOW_S", 0.02)
    settings = read_settings(["--home", str(tmp_path), "--host", "127.0.0.1", "--port", "0"], {})
    operation = f"trust.{delegating}"

    async with serving.running(settings) as server:
        async with asyncio.timeout(20):
            while server.storage.setting(operation) is None:
                await asyncio.sleep(0.02)
        words = ["trust", "raise", named, "--make-key", "--threshold", "2", "--home", str(tmp_path)]
        assert run(words) == 0
        async with asyncio.timeout(20):
            while not (found := entries_of(server.storage, operation)):
                await asyncio.sleep(0.02)
        told, [noted] = server.site.root()[0], found
        keys = KeyFolder(tmp_path / "keys/trust").key_ids(named)

    assert told == (2 if delegating == "root" else 1)
    assert (noted["version"], noted["before"]) == (2, 1)
    assert noted[named] == f"2 of {' '.join(sorted(keys))}"


async def test_a_server_that_was_down_for_days_signs_a_new_timestamp_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read_settings(["--home", str(tmp_path), "--host", "127.0.0.1", "--port", "0"], {})
    async with serving.running(settings) as server:
        first = server.repository.version("timestamp")
    later = datetime.now(UTC) + timedelta(days=2)
    monkeypatch.setattr(serving.SystemClock, "now", lambda _: later)

    async with serving.running(settings) as server:
        async with asyncio.timeout(20):
            while server.repository.version("timestamp") == first:
                await asyncio.sleep(0.02)


async def test_where_few_files_may_be_open_one_address_holds_few_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Room(connections=8, handshakes=8, events=0)
    monkeypatch.setattr(assembly, "make_room", lambda wanted: few)
    settings = read_settings(["--home", str(tmp_path), "--host", "127.0.0.1", "--port", "0"], {})

    async with serving.running(settings) as server:
        tls = ssl.create_default_context(cafile=str(server.keys.ca_certificate))

        held: list[asyncio.StreamWriter] = []

        async def health(source: str) -> bytes:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", server.port, ssl=tls, local_addr=(source, 0)
            )
            held.append(writer)
            writer.write(b"GET /api/v1/health HTTP/1.1\r\nhost: h\r\n\r\n")
            return await asyncio.wait_for(reader.read(12), 10)

        said = [await health(source) for source in ["127.0.0.1"] * 3 + ["127.0.0.2"]]
        for writer in held:
            writer.close()

    assert said == [b"HTTP/1.1 200"] * 2 + [b"HTTP/1.1 503", b"HTTP/1.1 200"]
