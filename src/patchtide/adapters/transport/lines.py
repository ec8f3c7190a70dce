"""Connections that stay open from one request to the next, each request with an end by the clock.

A handshake costs more than most of what an agent says, so everything that one run has to say and
to fetch goes over one connection, one request after the other. Nothing is tried twice.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException
from threading import Timer

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NameResolutionError, SSLError
from urllib3.response import BaseHTTPResponse
from urllib3.util import SKIP_HEADER

from patchtide.adapters.transport.tunnel import ProxyFailed, tunnelled
from patchtide.adapters.transport.ways import Way
from patchtide.agent.ports.web import TransferFailed, TransferTooSlow, TransferUntrusted

KEPT = 4
"""Idle connections to one server: one for an agent, more for threads of the simulator."""
CHUNK = 64 << 10
FAILURES = (HTTPError, HTTPException, OSError, ValueError)
"""What urllib3 and http.client raise for a peer that is away, slow or talks nonsense."""
REST = 4096
"""An answer that nobody wants to read is read to its end if no more than this is left of it."""


class Line:
    """One connection. A request on it ends when its time is over, in whatever call it waits.

    A timeout of the socket is not enough: it begins anew with every byte of a handshake, a
    header or a body. The descriptor is duplicated since TLS takes the original socket over.
    """

    def __init__(self, connection: HTTPConnection, way: Way | None = None) -> None:
        self.over = False
        self._way = way or Way()
        self._connection = connection
        self._response: BaseHTTPResponse | None = None
        self._raw: socket.socket | None = None
        self._timer: Timer | None = None
        self._connect = connection._new_conn
        connection._new_conn = self._watched  # type: ignore[method-assign]

    def begin(self, *, total_s: float, stall_s: float) -> None:
        self._connection.timeout = min(total_s, stall_s)
        self._timer = Timer(total_s, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def ask(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> BaseHTTPResponse:
        """Send a request and return its answer, with the body still to be read.

        Raises:
            TransferFailed
        """
        # A body is taken as it comes and held against its hash, so nothing is said of encodings.
        plain = {"accept-encoding": SKIP_HEADER, "user-agent": SKIP_HEADER, **headers}
        connection = self._connection
        try:
            self._open()
            connection.request(method, target, body=body, headers=plain, preload_content=False)
            self._response = connection.getresponse()
        except FAILURES as error:
            raise self.failure(error) from error
        return self._response

    def _open(self) -> None:
        """Connect, if need be by another way; not a byte of the request was sent before."""
        if self._connection.sock is not None:
            return
        via = self._way.via(self._connection.host)
        try:
            self._connection.connect()
        except FAILURES as error:
            if self.over or via is None:
                raise
            why = str(error) if isinstance(error, ProxyFailed) else f"proxy {via.address}: {error}"
            if not self._way.give_up(why):
                raise
            self.close()
            self._connection.connect()

    def chunks(self, response: BaseHTTPResponse) -> Iterator[bytes]:
        """Yield the body as it arrives; raises TransferFailed where it breaks off."""
        try:
            while chunk := response.read1(CHUNK, decode_content=False):
                yield chunk
        except FAILURES as error:
            raise self.failure(error) from error
        if self.over:
            raise TransferTooSlow

    def failure(self, error: Exception) -> TransferFailed:
        """Return what the error means to the one who waited."""
        if self.over or isinstance(error, TimeoutError) or "timed out" in str(error):
            return TransferTooSlow()
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, (SSLError, ssl.SSLError)):
                return TransferUntrusted(f"the server is not trusted: {cause}")
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, NameResolutionError):
            return TransferFailed("the server's name is not known")
        return TransferFailed(f"the transfer broke off: {error}")

    def end(self) -> bool:
        """Say whether the next request can go over this line."""
        is_at_rest = self._is_at_rest()
        self.stop()
        return is_at_rest and not self.over

    def stop(self) -> None:
        """Let the time run no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()

    def is_open(self) -> bool:
        """Say whether the server has kept it open, as far as can be told without asking."""
        return self._connection.is_connected

    def close(self) -> None:
        self._connection.close()
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def _is_at_rest(self) -> bool:
        response = self._response
        if response is None or self._connection.sock is None:
            return False
        left = response.length_remaining
        if not response.closed and left is not None and left <= REST:
            with suppress(*FAILURES):
                response.drain_conn()
        return response.closed

    def _watched(self) -> socket.socket:
        connected = self._connected()
        self._raw = socket.socket(fileno=os.dup(connected.fileno()))
        if self.over:
            self._shut()
        return connected

    def _connected(self) -> socket.socket:
        via = self._way.via(self._connection.host)
        if via is None:
            return self._connect()
        line = tunnelled(via, self._connection.host, self._connection.port)
        line.settimeout(self._connection.timeout)
        return line

    def _shut(self) -> None:
        self.over = True
        if self._raw is not None:
            with suppress(OSError):
                self._raw.shutdown(socket.SHUT_RDWR)


class Lines:
    """All connections that `context` verifies; several threads may share them."""

    def __init__(self, context: ssl.SSLContext, way: Way | None = None) -> None:
        if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
            raise ValueError("the context must verify certificates and names")
        if context.minimum_version < ssl.TLSVersion.TLSv1_2:
            raise ValueError("the context must refuse outdated versions of TLS")
        self._context = context
        self._way = way or Way()
        self._idle: dict[tuple[str, int | None], list[Line]] = {}

    @contextmanager
    def borrowed(
        self, host: str, port: int | None, *, total_s: float, stall_s: float
    ) -> Iterator[Line]:
        """Lend a line for one request; after `total_s` it is cut, whatever it is doing."""
        idle = self._idle.setdefault((host, port), [])
        line = self._taken(idle) or Line(self._connection(host, port), self._way)
        line.begin(total_s=total_s, stall_s=stall_s)
        kept = True
        try:
            yield line
        except TransferFailed:
            kept = False
            raise
        finally:
            # Whoever only looks at the status may leave with an error of its own.
            if kept and line.end() and len(idle) < KEPT:
                idle.append(line)
            else:
                line.stop()
                line.close()

    def close(self) -> None:
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

    def _taken(self, idle: list[Line]) -> Line | None:
        while idle:
            try:
                line = idle.pop()
            except IndexError:  # another thread was faster
                break
            if line.is_open():
                return line
            line.close()
        return None

    def _connection(self, host: str, port: int | None) -> HTTPConnection:
        return HTTPSConnection(host, port, ssl_context=self._context)
