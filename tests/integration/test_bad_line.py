"""The bad line does to a connection what it says, so that tests may build on it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.simulator.bad_line import BadLine, End, Way

DATA = bytes(range(256)) * 400


class Far:
    """Answers each connection with DATA once it was asked, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(100))
                connection.sendall(DATA)


@pytest.fixture
def far() -> Iterator[Far]:
    server = Far()
    yield server
    server.close()


@contextmanager
def asked(line: BadLine, timeout_s: float = 5.0) -> Iterator[socket.socket]:
    with line.served() as address, socket.create_connection(address, timeout=timeout_s) as near:
        near.sendall(b"ask")
        yield near


def line_to(far: Far, **options: object) -> BadLine:
    return BadLine(host=far.address[0], port=far.address[1], **options)  # type: ignore[arg-type]


def read_all(near: socket.socket) -> bytes:
    received = bytearray()
    while chunk := near.recv(1 << 16):
        received += chunk
    return bytes(received)


@pytest.mark.parametrize("slice_bytes", [1 << 16, 999])
def test_a_good_line_changes_nothing(far: Far, slice_bytes: int) -> None:
    with asked(line_to(far, down=Way(slice_bytes=slice_bytes))) as near:
        assert read_all(near) == DATA


def test_latency_delays_and_does_not_narrow(far: Far) -> None:
    began = time.monotonic()
    with asked(line_to(far, down=Way(latency_s=0.2, slice_bytes=1000))) as near:
        assert read_all(near) == DATA
    assert 0.2 <= time.monotonic() - began < 2.0  # a hundred slices, each 0.2 s late, at once


def test_a_narrow_line_takes_its_time(far: Far) -> None:
    began = time.monotonic()
    line = line_to(far, down=Way(bytes_per_s=len(DATA) * 4, slice_bytes=8192))
    with asked(line) as near:
        assert read_all(near) == DATA
    assert time.monotonic() - began >= 0.2


def test_a_reset_comes_after_so_many_bytes(far: Far) -> None:
    with (
        asked(line_to(far, down=Way(ends_after=0, end=End.RESET))) as near,
        pytest.raises(ConnectionResetError),
    ):
        read_all(near)


def test_a_half_closed_way_ends_the_data_and_not_the_connection(far: Far) -> None:
    with asked(line_to(far, down=Way(ends_after=1000, end=End.HALF_CLOSE))) as near:
        assert read_all(near) == DATA[:1000]
        near.sendall(b"more")


def test_a_silent_line_stays_open_and_says_nothing(far: Far) -> None:
    line = line_to(far, down=Way(ends_after=500, end=End.SILENCE))
    with asked(line, timeout_s=0.3) as near, pytest.raises(TimeoutError):
        assert read_all(near)
    assert line.connections == 1


def test_a_refusing_line_carries_nothing(far: Far) -> None:
    with (
        pytest.raises(ConnectionError),
        asked(line_to(far, refusing=True)) as near,
    ):
        read_all(near)
    assert far.asked == []


def test_copies_are_delivered_and_answered_once(far: Far) -> None:
    with asked(line_to(far, copies=2)) as near:
        assert read_all(near) == DATA
    assert far.asked == [b"ask"] * 3
