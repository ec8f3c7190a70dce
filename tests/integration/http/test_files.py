"""Immutable files: what many ask for at once is kept once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from patchtide.adapters.http.files import Files

pytestmark = pytest.mark.anyio


async def get(files: Callable[..., Awaitable[None]], name: str) -> bytes:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    scope = {"path_params": {"path": name}, "headers": [], "method": "GET"}
    await files(scope, receive, send)
    return b"".join(m.get("body", b"") for m in sent)


async def test_a_crowd_does_not_use_the_memory_up(tmp_path: Path) -> None:
    (tmp_path / "shard").write_bytes(b"x" * 1000)
    files = Files(tmp_path, memory_bytes=3000)
    await asyncio.gather(*(get(files, "shard") for _ in range(10)))
    (tmp_path / "shard").unlink()

    assert await get(files, "shard") == b"x" * 1000
