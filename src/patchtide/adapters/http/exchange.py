"""A small request that is read whole and answered in one write, past the application.

It stands where uvicorn keeps its cycle of request and response, and bears the part of it that
uvicorn touches: so requests of both kinds may follow each other on one connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from patchtide.adapters.http.problems import Headers, Reply, reply_of
from patchtide.domain.errors import PatchtideError

log = logging.getLogger(__name__)


class Handed(Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """A request that the application does not see: all that is known of it."""

    method: str
    raw_path: bytes
    query: bytes
    headers: Headers
    peer: str
    body: bytes = b""


AnswerWhole = Callable[[Handed], Awaitable[Reply]]
"""Answers a request that has been read to its end."""


class Exchange:
    """One such request and its answer."""

    __slots__ = (
        "_answer", "_transport", "_when_done", "body", "disconnected", "keep_alive",
        "message_event", "more_body", "response_complete",
    )  # fmt: skip

    def __init__(
        self,
        answer: AnswerWhole,
        *,
        transport: asyncio.Transport,
        keep_alive: bool,
        when_done: Callable[[], None],
    ) -> None:
        self._answer = answer
        self._transport = transport
        self._when_done = when_done
        self.keep_alive = keep_alive
        self.body = bytearray()
        self.more_body = True
        self.response_complete = False
        self.disconnected = False
        self.message_event = _Nobody

    async def run(self, asked: Handed) -> None:
        reply = await replied(self._answer, asked)
        self.response_complete = True
        if self.disconnected:
            return
        self._transport.write(_bytes_of(reply, keep_alive=self.keep_alive))
        if not self.keep_alive:
            self._transport.close()
        self._when_done()


async def replied(answer: AnswerWhole, asked: Handed) -> Reply:
    """Return what is replied in any case: one request must not end the others'."""
    try:
        return await answer(asked)
    except PatchtideError as error:
        return reply_of(error)
    except Exception:
        log.exception("request failed", extra={"path": asked.raw_path})
        return reply_of(PatchtideError())


class _Nobody:
    """Nobody waits for more of the body."""

    @staticmethod
    def set() -> None:
        return None


def _bytes_of(reply: Reply, *, keep_alive: bool) -> bytes:
    lines = [STATUS_LINE[reply.status]]
    for name, value in reply.headers:
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"x-content-type-options: nosniff\r\n")
    lines.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    lines.append(reply.body)
    return b"".join(lines)
