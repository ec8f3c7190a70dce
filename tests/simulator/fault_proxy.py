"""A server of one file that breaks in the ways networks and caches break."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class FaultProxy:
    """Serves `data`; each fault holds for `times` requests, then all is well."""

    data: bytes
    cut_at: int | None = None
    """Close the connection after so many bytes of the body."""
    stall_at: int | None = None
    """Send nothing more after so many bytes, and keep the connection."""
    ignore_range: bool = False
    """Answer 200 with the whole file."""
    wrong_start: int | None = None
    """Claim in Content-Range that the bytes begin here."""
    length: int | None = None
    """Claim this Content-Length."""
    flip_at: int | None = None
    status: int | None = None
    extra: bytes = b""
    """Sent after the file, without telling in a Content-Length."""
    times: int = 1_000_000
    ranges: list[int] = field(default_factory=list)
    """The offset that each request asked for."""
    _open: list[socket.socket] = field(default_factory=list)

    @contextmanager
    def served(self) -> Iterator[str]:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0.05)
        over = threading.Event()
        thread = threading.Thread(target=self._serve, args=(listener, over), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/blob"
        finally:
            over.set()
            thread.join()
            listener.close()
            for connection in self._open:
                connection.close()

    def _serve(self, listener: socket.socket, over: threading.Event) -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            connection.settimeout(2.0)
            with suppress(OSError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += connection.recv(4096)
        offset = _offset(asked)
        self.ranges.append(offset)
        faulty = len(self.ranges) <= self.times
        partial = offset > 0 and not (faulty and self.ignore_range)
        body = self.data[offset:] if partial else self.data
        connection.sendall(self._head(partial, offset, len(body), faulty=faulty))
        self._body(connection, body, faulty=faulty)

    def _head(self, partial: bool, offset: int, length: int, *, faulty: bool) -> bytes:
        status = self.status if faulty and self.status else (206 if partial else 200)
        lines = [f"HTTP/1.1 {status} X", "connection: close"]
        if not (faulty and self.extra):
            claimed = self.length if faulty and self.length is not None else length
            lines.append(f"content-length: {claimed}")
        if partial:
            start = self.wrong_start if faulty and self.wrong_start is not None else offset
            lines.append(f"content-range: bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        return "\r\n".join([*lines, "", ""]).encode()

    def _body(self, connection: socket.socket, body: bytes, *, faulty: bool) -> None:
        if faulty and self.flip_at is not None and self.flip_at < len(body):
            flipped = bytes([body[self.flip_at] ^ 1])
            body = body[: self.flip_at] + flipped + body[self.flip_at + 1 :]
        if faulty and self.stall_at is not None:
            connection.sendall(body[: self.stall_at])
            self._open.append(connection)
            return
        end = self.cut_at if faulty and self.cut_at is not None else len(body)
        connection.sendall(body[:end] + (self.extra if faulty else b""))
        connection.close()


def _offset(request: bytes) -> int:
    for line in request.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"range":
            return int(value.strip().removeprefix(b"bytes=").split(b"-")[0])
    return 0
