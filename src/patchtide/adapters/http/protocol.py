"""The web server's connections with deadlines and limits, and a way out for held-open ones.

uvicorn waits for ever for a request that has begun, and keeps any number of headers. Here a
request's headers and body have a deadline, headers a size, and a peer that does not read its
answer is dropped. Requests of some paths leave uvicorn: their transport is handed over, so that
20,000 idle listeners do not each keep a parser and a request in memory. Small requests of other
paths are read whole and answered directly: the application around them costs more than they do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from patchtide.adapters.http.exchange import AnswerWhole, Exchange, Handed
from patchtide.adapters.http.limits import caller_key
from patchtide.adapters.http.lingering import Lingering
from patchtide.adapters.http.peers import Peers

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)
MALFORMED = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


TakeOver = Callable[[asyncio.Transport, Handed, Callable[[], None]], bool]
"""Takes the connection (True), or leaves the request to the application (False). Once it has set
its own protocol it calls what it was given; until then the connection counts as ours."""


KEEP_ALIVE_S = 75
"""For a connection that asks nothing more."""
_HANG_UP_S = 0.1
"""For the last words to a peer that asks nothing, when the server ends."""


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
    farewell_s: float = 2.0
    """For a peer that is thrown out to read why, or its last answer, and go."""
    head_bytes: int = 16 << 10
    headers: int = 64
    connections: int = 8192
    a_peer: int = 2048
    """Connections of one address: a building behind one address translation has many machines."""
    take_over: Mapping[tuple[str, bytes], TakeOver] = field(default_factory=dict)
    """By method and path."""
    whole: Mapping[tuple[str, bytes], AnswerWhole] = field(default_factory=dict)
    """Whose requests, when small, are read whole and answered without the application."""
    whole_bytes: int = 16 << 10


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


class _Closed:
    """Stands where a request's headers were, once its body has begun: each request has headers,
    and looking at every one of them would cost more than waiting here for one too many."""

    __slots__ = ("_refuse",)

    def __init__(self, refuse: Callable[[], None]) -> None:
        self._refuse = refuse

    def append(self, header: tuple[bytes, bytes]) -> None:
        self._refuse()


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `limits` and `peers` are set by the class that `guarded_protocol` makes."""

    limits: ConnectionLimits
    peers: Peers
    announced: tuple[str, int] | None = None
    """Who came, when a balancer stands between, or the porter."""
    is_passed_on = False
    """By the porter, where TLS ends."""

    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _answered_at = 0.0
    _head_bytes = 0
    _part_bytes = 0
    _is_reading = False
    """Within a request that has begun and is not read to its end."""
    _is_in_head = False
    _peer: str | None = None
    _gone = False
    """Closed or handed over: what the parser still finds in the buffer is not ours any more."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if self.is_passed_on:
            transport = cast("asyncio.Transport", Lingering(transport))
        super().connection_made(transport)
        if self.announced is not None:
            self.client = self.announced
        if self.is_passed_on:
            self.scheme = "https"
        self._peer = caller_key(self.client)
        held = self.peers.arrive(self._peer)
        if held > self.limits.a_peer or len(self.connections) > self.limits.connections:
            self._end(BUSY)
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
        if self._is_in_head and not self._gone:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes:
                self._end(_TOO_LARGE)
        # Nearly every request comes in one piece and needs no deadline.
        if self._deadline is None and not self._gone:
            if self._is_reading:
                self._expect(self.limits.request_s)
            elif not self._is_answering() and self.timeout_keep_alive_task is None:
                # Blank lines before a request: uvicorn took them for one, and waits for ever.
                self._expect(self.limits.first_byte_s)

    def send_400_response(self, msg: str) -> None:
        if not self._gone:  # what comes behind the last request that is ours is not
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = self._part_bytes = 0
        self._is_reading = self._is_in_head = True
        if self._deadline is not None:
            self._expect(None)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if self._gone:
            return
        if self.parser.should_upgrade():
            # The parser stops here, and would take the body for the next request.
            self._end(MALFORMED)
            return
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if len(self.headers) > self.limits.headers or size > self.limits.head_bytes:
            self._end(_TOO_LARGE)
        elif not self._handed_over() and not self._read_whole():
            self._begin_another()

    def _begin_another(self) -> None:
        """Begin a request that is neither handed over nor read whole."""
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        self.headers = _Closed(self._refuse_trailer)  # type: ignore[assignment]

    def _refuse_trailer(self) -> None:
        """End it: what comes after a body may not say who asked, nor be without end."""
        if not self._gone:
            self._end(MALFORMED)

    def on_body(self, body: bytes) -> None:
        if self._gone:
            return
        self._part_bytes += len(body)
        if self._part_bytes >= self.limits.part_bytes:
            self._part_bytes = 0
            self._expect(None)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_reading = False
        if self._gone:
            return
        if self._deadline is not None:
            self._expect(None)
        cycle: object = self.cycle
        if isinstance(cycle, Exchange):
            task = self.loop.create_task(cycle.run(self._handed(bytes(cycle.body))))
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self._answered_at = self.loop.time()
        super().on_response_complete()

    def shutdown(self) -> None:
        """Hang up on whoever asks nothing and has had the time to read his last answer.

        The server ends when all are gone.
        """
        super().shutdown()
        if self.transport.is_closing() and self._stalled is None:
            left = self._answered_at + self.limits.farewell_s - self.loop.time()
            self._stalled = self.loop.call_later(max(left, _HANG_UP_S), self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None and not self._gone:
            self._stalled.cancel()
            self._stalled = None

    def _expect(self, within_s: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = (
            None if within_s is None else self.loop.call_later(within_s, self._end, _TOO_LATE)
        )

    def _end(self, answer: bytes) -> None:
        self._gone = True
        self._cancel()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(answer)
            self.transport.close()
            # TLS would wait half a minute for the peer's farewell.
            self._stalled = self.loop.call_later(self.limits.farewell_s, self.transport.abort)
        else:
            # An answer has begun, or is being made from half a body: another cannot be mixed in.
            self.transport.abort()

    def _handed_over(self) -> bool:
        take_over = self.limits.take_over.get(self._route())
        if take_over is None or self._is_answering():
            return False
        if not take_over(self.transport, self._handed(), self._leave):
            return False
        self._gone = True
        self._cancel()
        return True

    def _read_whole(self) -> bool:
        answer = self.limits.whole.get(self._route())
        if answer is None or self._is_answering() or not self._is_small():
            return False
        if self.flow.write_paused:  # the application waits for a peer that reads nothing
            return False
        self.cycle = Exchange(  # type: ignore[assignment]
            answer,
            transport=self.transport,
            keep_alive=self.parser.get_http_version() == "1.1" and self.parser.should_keep_alive(),
            when_done=self.on_response_complete,
        )
        return True

    def _route(self) -> tuple[str, bytes]:
        method: bytes = self.parser.get_method()
        return method.decode("ascii"), self.url.partition(b"?")[0]

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_small(self) -> bool:
        lengths = [value for name, value in self.headers if name == b"content-length"]
        return (
            len(lengths) == 1
            and int(lengths[0]) <= self.limits.whole_bytes
            and not self.expect_100_continue
        )

    def _handed(self, body: bytes = b"") -> Handed:
        method, path = self._route()
        return Handed(
            method=method,
            raw_path=path,
            query=self.url.partition(b"?")[2],
            headers=self.headers,
            peer=self.client[0] if self.client else "",
            body=body,
        )

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: strangers do not write our log."""

    def _leave(self) -> None:
        """Forget the connection: from now on it is somebody else's."""
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
