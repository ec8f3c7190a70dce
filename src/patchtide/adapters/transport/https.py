"""One GET over verified TLS, that a slow or silent server cannot hold up."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NameResolutionError, SSLError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Url, parse_url

from patchtide.agent.ports.web import Reply, TransferFailed, TransferTooSlow, TransferUntrusted

CHUNK = 64 << 10
_RANGE = re.compile(r"bytes (?P<start>[0-9]{1,15})-[0-9]{1,15}/(?:[0-9]{1,15}|\*)")
_LENGTH = re.compile(r"[0-9]{1,15}")


class HttpsGetter:
    """GETs from https addresses whose certificates `context` verifies; no other address."""

    scheme = "https"

    def __init__(self, context: ssl.SSLContext) -> None:
        if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
            raise ValueError("the context must verify certificates and names")
        if context.minimum_version < ssl.TLSVersion.TLSv1_2:
            raise ValueError("the context must refuse outdated versions of TLS")
        self._context = context

    @contextmanager
    def get(self, url: str, *, offset: int = 0, total_s: float, stall_s: float) -> Iterator[Reply]:
        address = self._address(url)
        connection = self._connection(address.host or "", address.port, min(total_s, stall_s))
        cut = _Cut(connection, total_s)
        try:
            response = _answer(connection, address.request_uri, offset, cut)
            yield Reply(
                status=response.status,
                length=_length(response),
                start=_start(response),
                chunks=_chunks(response, cut),
            )
        finally:
            cut.cancel()
            connection.close()

    def _address(self, url: str) -> Url:
        try:
            address = parse_url(url)
        except HTTPError as error:
            raise TransferFailed(f"{url} is no address") from error
        if address.scheme != self.scheme or not address.host:
            raise TransferFailed(f"{url} is no {self.scheme} address")
        return address

    def _connection(self, host: str, port: int | None, timeout_s: float) -> HTTPConnection:
        return HTTPSConnection(host, port, timeout=timeout_s, ssl_context=self._context)


class _Cut:
    """Shuts the connection down when its time is over, in whatever call it may be waiting.

    A timeout of the socket is not enough: it begins anew with every byte of a handshake, a
    header or a body. The socket is duplicated since TLS takes the original one over.
    """

    def __init__(self, connection: HTTPConnection, total_s: float) -> None:
        self.over = False
        self._socket: socket.socket | None = None
        self._connect = connection._new_conn
        connection._new_conn = self._watched  # type: ignore[method-assign]
        self._timer = Timer(total_s, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        self._timer.cancel()
        self._timer.join()
        if self._socket is not None:
            self._socket.close()

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

    def _watched(self) -> socket.socket:
        connected = self._connect()
        self._socket = connected.dup()
        if self.over:
            self._shut()
        return connected

    def _shut(self) -> None:
        self.over = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _answer(connection: HTTPConnection, target: str, offset: int, cut: _Cut) -> BaseHTTPResponse:
    headers = {"accept-encoding": "identity"}
    if offset:
        headers["range"] = f"bytes={offset}-"
    try:
        connection.request("GET", target, headers=headers, preload_content=False)
        return connection.getresponse()
    except (HTTPError, OSError) as error:
        raise cut.failure(error) from error


def _chunks(response: BaseHTTPResponse, cut: _Cut) -> Iterator[bytes]:
    try:
        while chunk := response.read1(CHUNK, decode_content=False):
            yield chunk
    except (HTTPError, OSError, ValueError) as error:
        raise cut.failure(error) from error
    if cut.over:
        raise TransferTooSlow


def _length(response: BaseHTTPResponse) -> int | None:
    value = response.headers.get("content-length", "")
    return int(value) if _LENGTH.fullmatch(value) else None


def _start(response: BaseHTTPResponse) -> int:
    match = _RANGE.fullmatch(response.headers.get("content-range", ""))
    return int(match["start"]) if response.status == 206 and match else 0
