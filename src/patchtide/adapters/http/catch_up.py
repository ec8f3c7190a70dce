"""Answers machines that ask for all that is new at once; one answer serves all that stand alike.

Making one takes some milliseconds, and whoever asks for it is not known. So one is made at once,
and whoever asks for another while many are waited for is told that there is none: files are there
one by one. Who asks for the same waits for the same. However many different ones are asked for,
making them takes a part of one core and no more.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from patchtide.adapters.http.files import FRESH, answer
from patchtide.wire.catch_up import Asked, read_address

KEPT = 256
WAITING = 16
REST = 3.0
"""How much longer than the making of an answer took none other is made."""
LONGEST_REST_S = 0.5
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
        self._looks = 0
        self._marked = 0
        """Which of the looks has said so: they may end in another order than they were taken in."""
        self._looking = threading.Lock()
        self._kept: OrderedDict[Asked, bytes] = OrderedDict()
        self._without: OrderedDict[Asked, None] = OrderedDict()
        """Kept apart: anybody can think of questions that have no answer."""
        self._making: dict[Asked, asyncio.Task[bytes | None]] = {}
        self._one = asyncio.Semaphore(1)

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
        look, mark = await asyncio.to_thread(self._look)
        if look > self._marked:
            self._take(look, mark)
        if asked in self._kept:
            self._kept.move_to_end(asked)
            return self._kept[asked]
        if asked in self._without:
            self._without.move_to_end(asked)
            return None
        making = self._making.get(asked)
        if making is None:
            if len(self._making) >= WAITING:
                return None
            making = self._making[asked] = asyncio.create_task(self._made(asked, self._mark))
        # Whoever goes away leaves it to the others.
        return await asyncio.shield(making)

    def _look(self) -> tuple[int, object]:
        with self._looking:
            self._looks += 1
            return self._looks, self._source.mark()

    def _take(self, look: int, mark: object) -> None:
        self._marked = look
        if mark != self._mark:
            self._kept.clear()
            self._without.clear()
            self._making.clear()
            self._mark = mark

    async def _made(self, asked: Asked, mark: object) -> bytes | None:
        try:
            body = await self._asked_of_source(asked)
            if mark == self._mark:
                self._keep(asked, body)
            return body
        finally:
            if mark == self._mark:
                self._making.pop(asked, None)

    async def _asked_of_source(self, asked: Asked) -> bytes | None:
        """Return what the source says; the next one is asked after a while, for all its work."""
        await self._one.acquire()
        began = time.monotonic()
        try:
            return await asyncio.to_thread(self._source.answer, asked)
        finally:
            rest = min(REST * (time.monotonic() - began), LONGEST_REST_S)
            asyncio.get_running_loop().call_later(rest, self._one.release)

    def _keep(self, asked: Asked, body: bytes | None) -> None:
        if body is None:
            self._without[asked] = None
        else:
            self._kept[asked] = body
        for kept in (self._kept, self._without):
            if len(kept) > KEPT:
                kept.popitem(last=False)
