"""The web server's connections with deadlines and limits, and a way out for held-open ones.

uvicorn waits for ever for a request that has begun, and keeps any number of headers. Here a
request's headers and body have a deadline, headers a size, and a peer that does not read its
answer is dropped. Requests of some paths leave uvicorn: their transport is handed over, so that
20,000 idle listeners do not each keep a parser and a request in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A request whose connection is handed over: all that is known of it."""

    method: str
    raw_path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    client: tuple[str, int] | None
    scheme: str


TakeOver = Callable[[asyncio.Transport, Handed], bool]
"""Takes the connection (True: it has set its own protocol), or leaves the request to the
application (False)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    request_s: float = 20.0
    """For headers and the first part of the body together, and for each further part."""
    part_bytes: int = 16 << 10
    """A slow line may take its time, as long as it delivers this much in `request_s`."""
    first_byte_s: float = 20.0
    """For a fresh connection to say anything."""
    unread_s: float = 60.0
    """For a peer to read on when its answer has filled the buffers."""
    header_bytes: int = 16 << 10
    headers: int = 64
    connections: int = 8192
    a_peer: int = 2048
    """Connections of one address: a building behind one address translation has many machines."""
    take_over: Mapping[tuple[str, bytes], TakeOver] = field(default_factory=dict)
    """By method and path."""


class Peers:
    """How many connections each address holds."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def arrive(self, peer: str) -> int:
        self._held[peer] = self._held.get(peer, 0) + 1
        return self._held[peer]

    def leave(self, peer: str) -> None:
        left = self._held.get(peer, 0) - 1
        if left > 0:
            self._held[peer] = left
        else:
            self._held.pop(peer, None)


def guarded_protocol(limits: ConnectionLimits) -> type[HttpToolsProtocol]:
    """Return a protocol class for `uvicorn.Config(http=...)` that keeps these limits."""
    peers = Peers()

    class Bound(GuardedProtocol):
        def __init__(
            self,
            config: Config,
            server_state: ServerState,
            app_state: dict[str, Any],
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            super().__init__(config, server_state, app_state, _loop)
            self.limits = limits
            self.peers = peers

    return Bound


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `limits` and `peers` are set by the class that `guarded_protocol` makes."""

    limits: ConnectionLimits
    peers: Peers

    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _part_bytes = 0
    _peer: str | None = None
    _gone = False
    """Closed or handed over: what the parser still finds in the buffer is not ours any more."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else ""
        held = self.peers.arrive(self._peer)
        if held > self.limits.a_peer or len(self.connections) > self.limits.connections:
            self._end(_BUSY)
        else:
            self._expect(self.limits.first_byte_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        self._leave_peers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._gone:
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = self._part_bytes = 0
        self._expect(self.limits.request_s)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        if not self._gone:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._gone or self._handed_over():
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._gone:
            return
        self._part_bytes += len(body)
        if self._part_bytes >= self.limits.part_bytes:
            self._part_bytes = 0
            self._expect(self.limits.request_s)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._gone:
            return
        self._expect(None)
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _expect(self, within_s: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = (
            None if within_s is None else self.loop.call_later(within_s, self._end, _TOO_LATE)
        )

    def _count(self, size: int) -> None:
        self._header_bytes += size
        too_many = len(self.headers) >= self.limits.headers
        if not self._gone and (too_many or self._header_bytes > self.limits.header_bytes):
            self._end(_TOO_LARGE)

    def _end(self, answer: bytes) -> None:
        self._gone = True
        self._cancel()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(answer)
            self.transport.close()
        else:
            # An answer has begun, or is being made from half a body: another cannot be mixed in.
            self.transport.abort()

    def _handed_over(self) -> bool:
        method = self.parser.get_method().decode("ascii")
        path, _, query = self.url.partition(b"?")
        take_over = self.limits.take_over.get((method, path))
        is_busy = self.cycle is not None and not self.cycle.response_complete
        if take_over is None or is_busy:
            return False
        request = Handed(
            method=method,
            raw_path=path,
            query=query,
            headers=self.headers,
            client=self.client,
            scheme=self.scheme or "http",
        )
        if not take_over(self.transport, request):
            return False
        self._leave()
        return True

    def _leave(self) -> None:
        """Forget the connection: from now on it is somebody else's."""
        self._gone = True
        self._cancel()
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        self._leave_peers()

    def _leave_peers(self) -> None:
        if self._peer is not None:
            self.peers.leave(self._peer)
            self._peer = None

    def _cancel(self) -> None:
        self._expect(None)
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
