"""A file that is brought: whole and itself, or not there; and an attempt that broke goes on."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from patchtide.adapters.content.files import WAITING_S, FileContentStore
from tests.integration.http.plane import AdministratorsPlane, Answer

pytestmark = pytest.mark.anyio
FILE = os.urandom(3_000_000)
DIGEST = sha256(FILE).hexdigest()
AT = f"/api/v1/publisher/files/{DIGEST}"


@pytest.fixture
def store(tmp_path: Path) -> FileContentStore:
    return FileContentStore(tmp_path / "content")


@pytest.fixture
def plane(store: FileContentStore) -> AdministratorsPlane:
    return AdministratorsPlane(content=store)


async def bring(plane: AdministratorsPlane, body: bytes, *, offset: int = 0) -> Answer:
    token = await plane.token(role="engineer")
    path = f"{AT}?size={len(FILE)}&offset={offset}"
    return await plane.ask("PUT", path, token=token, body=body)


async def known(plane: AdministratorsPlane) -> Any:
    return (await plane.ask("GET", AT, token=await plane.token(role="engineer"))).json


async def test_an_attempt_that_broke_goes_on_where_it_ended(
    plane: AdministratorsPlane, store: FileContentStore
) -> None:
    first = await bring(plane, FILE[:2_000_000])
    assert first.json == {"sha256": DIGEST, "size": 2_000_000, "is_whole": False}
    assert not store.path(DIGEST).exists()
    assert (await bring(plane, FILE)).status == 409

    at = (await known(plane))["size"]
    last = await bring(plane, FILE[at:], offset=at)

    assert last.json == {"sha256": DIGEST, "size": len(FILE), "is_whole": True}
    assert store.path(DIGEST).read_bytes() == FILE
    assert (await bring(plane, b"")).json["is_whole"]


async def test_another_file_than_the_announced_one_leaves_nothing(
    plane: AdministratorsPlane, store: FileContentStore
) -> None:
    wrong = await bring(plane, b"x" * len(FILE))
    assert (wrong.status, wrong.json["code"]) == (403, "wrong-content")
    longer = await bring(plane, FILE + b"x")

    assert longer.status == 400
    assert not store.path(DIGEST).exists()
    assert (await known(plane))["size"] <= len(FILE)


async def test_what_was_never_brought_to_its_end_is_forgotten(
    plane: AdministratorsPlane, store: FileContentStore
) -> None:
    await bring(plane, FILE[:1_000])
    [parts] = store.path(DIGEST).parent.iterdir()
    old = parts.stat().st_mtime - WAITING_S - 60
    os.utime(parts, (old, old))

    other = sha256(b"other").hexdigest()
    token = await plane.token(role="engineer")
    path = f"/api/v1/publisher/files/{other}?size=5"
    await plane.ask("PUT", path, token=token, body=b"other")

    assert [path.name for path in store.path(DIGEST).parent.iterdir()] == [other]
