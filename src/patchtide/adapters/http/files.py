"""Immutable files over HTTP: signed metadata, content by hash. Ranges, caching, nothing else.

Small files that never change under their name are kept in memory, so a fleet that fetches the
same shard costs no disk. Large ones are streamed by Starlette.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

SMALL = 1 << 20
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._%+~-]{0,254}")
_RANGE = re.compile(rb"bytes=(\d{1,15})-(\d{0,15})")
_FOREVER = b"public, max-age=31536000, immutable"
FRESH = b"no-cache"
_MUTABLE = frozenset({"timestamp.json"})


class Files:
    """Serves one folder; `path` of the scope is relative to it (`path_params["path"]`)."""

    def __init__(self, folder: Path, *, memory_bytes: int = 64 << 20) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._held = 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = str(scope["path_params"]["path"])
        if not _is_safe(name):
            await answer(send, 404)
            return
        kept = self._kept.get(name)
        if kept is not None:
            self._kept.move_to_end(name)
            await _send_bytes(scope, send, kept, cache=_FOREVER)
            return
        await self._from_disk(name, scope, receive, send)

    async def _from_disk(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._folder / name
        body = await asyncio.to_thread(_read_small, path)
        if body is None:
            await answer(send, 404)
        elif isinstance(body, int):
            headers = {"cache-control": _FOREVER.decode()}
            await FileResponse(path, headers=headers)(scope, receive, send)  # type: ignore[arg-type]
        elif path.name in _MUTABLE:
            await _send_bytes(scope, send, body, cache=FRESH)
        else:
            self._keep(name, body)
            await _send_bytes(scope, send, body, cache=_FOREVER)

    def _keep(self, name: str, body: bytes) -> None:
        if name in self._kept:  # asked for by many at once; counted once
            return
        self._kept[name] = body
        self._held += len(body)
        while self._held > self._memory_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._held -= len(dropped)


def _is_safe(name: str) -> bool:
    return len(name) <= 1024 and all(_SEGMENT.fullmatch(part) for part in name.split("/"))


def _read_small(path: Path) -> bytes | int | None:
    """Return the content, the size of a file that is too large for memory, or None: no file."""
    try:
        size = path.stat().st_size
        return path.read_bytes() if size <= SMALL else size
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


async def _send_bytes(scope: Scope, send: Send, body: bytes, *, cache: bytes) -> None:
    # No word more than agents need: metadata is small, and they fetch it every day.
    headers = [(b"cache-control", cache)]
    wanted = next((value for name, value in scope["headers"] if name == b"range"), None)
    match = _RANGE.fullmatch(wanted) if wanted is not None else None
    if match is None:
        await answer(send, 200, body, headers, head=scope["method"] == "HEAD")
        return
    start = int(match[1])
    end = min(int(match[2]) if match[2] else len(body) - 1, len(body) - 1)
    if start > end:
        await answer(send, 416, b"", [(b"content-range", f"bytes */{len(body)}".encode())])
        return
    headers.append((b"content-range", f"bytes {start}-{end}/{len(body)}".encode()))
    await answer(send, 206, body[start : end + 1], headers)


async def answer(
    send: Send,
    status: int,
    body: bytes = b"",
    headers: list[tuple[bytes, bytes]] | None = None,
    *,
    head: bool = False,
) -> None:
    named = [*(headers or []), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": b"" if head else body})
