"""A wire with a meter: forwards TLS and counts its bytes, handshakes apart.

What comes before both sides have finished the handshake is not counted; whatever comes later is,
record headers and tags included. Nothing is decrypted: in TLS 1.3 the first protected record of a
client is the end of its handshake.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

HEADER = 5
PROTECTED = 23


@dataclass
class Meter:
    connections: int = 0
    up: int = 0
    down: int = 0
    records: list[tuple[str, int]] = field(default_factory=list)
    """("up" | "down", bytes of a record), in the order in which they were seen."""

    alive: int = 0

    @property
    def total(self) -> int:
        return self.up + self.down

    def settle(self, within_s: float = 60.0) -> None:
        """Wait until everything that was sent has gone through the meter."""
        until = time.monotonic() + within_s
        while self.alive and time.monotonic() < until:
            time.sleep(0.002)
        assert not self.alive, "a connection is still open"

    def reset(self) -> None:
        self.connections = self.up = self.down = 0
        self.records.clear()


class _Wire:
    """One connection."""

    def __init__(self, meter: Meter, client: socket.socket, server: socket.socket) -> None:
        self._meter = meter
        self._lock = threading.Lock()
        self._established = False
        self._ended = 0
        meter.alive += 1
        self._threads = [
            threading.Thread(target=self._forward, args=(client, server, "up"), daemon=True),
            threading.Thread(target=self._forward, args=(server, client, "down"), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _forward(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                rest = self._counted(rest + piece, way)
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._ended += 1
        if self._ended == 2:
            source.close()
            sink.close()
            self._meter.alive -= 1

    def _counted(self, data: bytes, way: str) -> bytes:
        while len(data) >= HEADER:
            size = HEADER + int.from_bytes(data[3:5])
            if len(data) < size:
                break
            with self._lock:
                self._count(way, data[0], size)
            data = data[size:]
        return data

    def _count(self, way: str, kind: int, size: int) -> None:
        meter = self._meter
        if self._established:
            setattr(meter, way, getattr(meter, way) + size)
            meter.records.append((way, size))
        elif way == "up" and kind == PROTECTED:
            self._established = True


@contextlib.contextmanager
def counting_proxy(port: int, *, behind: str, at: str = "127.0.0.1") -> Iterator[Meter]:
    """Listen at `at`:`port` for what is served at `behind`:`port`.

    The same port, since it is part of the name that requests are signed for.
    """
    meter = Meter()
    listening = socket.create_server((at, port))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.create_connection((behind, port))
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                meter.connections += 1
                _Wire(meter, client, server)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
