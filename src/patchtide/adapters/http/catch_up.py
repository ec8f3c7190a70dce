"""Answers machines that ask for all that is new at once; one answer serves all that stand alike.

Making one takes some milliseconds, and whoever asks for it is not known. So few are made at once,
and whoever comes while many wait is told that there is none: files are there one by one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from patchtide.adapters.http.files import FRESH, answer
from patchtide.wire.catch_up import Asked, read_address

KEPT = 256
WAITING = 16
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class CatchUpSource(Protocol):
    def mark(self) -> object: ...
    def answer(self, asked: Asked) -> bytes | None: ...


class CatchUpEndpoint:
    def __init__(self, source: CatchUpSource) -> None:
        self._source = source
        self._mark: object = None
        self._kept: OrderedDict[Asked, bytes | None] = OrderedDict()
        self._making = asyncio.Semaphore(1)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = read_address(str(scope["path_params"]["path"]))
        body = await self._found(asked) if asked else None
        if body is None:
            await answer(send, 404)
            return
        headers = [(b"cache-control", FRESH)]
        await answer(send, 200, body, headers, head=scope["method"] == "HEAD")

    async def _found(self, asked: Asked) -> bytes | None:
        # Before anything: an answer from before the last publication leads to an older timestamp.
        mark = await asyncio.to_thread(self._source.mark)
        if mark != self._mark:
            self._kept.clear()
            self._mark = mark
        if asked in self._kept or self._waiting >= WAITING:
            return self._kept.get(asked)
        self._waiting += 1
        try:
            async with self._making:
                return await self._made(asked, mark)
        finally:
            self._waiting -= 1

    async def _made(self, asked: Asked, mark: object) -> bytes | None:
        if asked in self._kept:
            return self._kept[asked]
        body = await asyncio.to_thread(self._source.answer, asked)
        if mark == self._mark:
            self._kept[asked] = body
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return body
