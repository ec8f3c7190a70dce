"""Closing a connection that the porter passed on without losing its last answer.

Whoever is refused while he still sends must be heard out: a socket pair that is closed with bytes
unread loses what was said into it. TLS does that for connections of the server's own.
"""

from __future__ import annotations

import asyncio
from typing import Any

HEARD_OUT_S = 30.0
"""As long as TLS waits for a peer's farewell."""


class Lingering:
    """A transport that says, when it is closed, that no more comes, and hears the other end out."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._is_closing or self._transport.is_closing()

    def close(self) -> None:
        if self.is_closing():
            return
        self._is_closing = True
        loop, transport = asyncio.get_running_loop(), self._transport
        limit = loop.call_later(HEARD_OUT_S, transport.abort)
        transport.set_protocol(_Deaf(transport.get_protocol(), limit))
        transport.write_eof()
        transport.resume_reading()


class _Deaf(asyncio.Protocol):
    """Takes what still comes for nothing, until the other end closes."""

    def __init__(self, protocol: asyncio.BaseProtocol, limit: asyncio.TimerHandle) -> None:
        self._protocol = protocol
        self._limit = limit

    def connection_lost(self, exc: Exception | None) -> None:
        self._limit.cancel()
        self._protocol.connection_lost(exc)
