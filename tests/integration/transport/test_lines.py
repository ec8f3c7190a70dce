"""One connection serves request after request, and is given up as soon as it is in doubt."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from patchtide.agent.ports.web import TransferFailed, TransferTooSlow
from patchtide.entry.agent.trust_cli import PlainGetter

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
ABSENT = b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnone"
LAST = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
HALF = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nhello"
ENDLESS = b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
HUGE = b"HTTP/1.1 404 Not Found\r\ncontent-length: 9000\r\n\r\n"


@dataclass
class Script:
    """Answers each request with the next line of the script; an empty one hangs up."""

    answers: list[bytes] = field(default_factory=list)
    connections: int = 0

    def serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connected, _ = listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connected,), daemon=True).start()

    def _talk(self, connected: socket.socket) -> None:
        with connected:
            while connected.recv(65536):
                answer = self.answers.pop(0)
                if not answer:
                    return
                connected.sendall(answer)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=script.serve, args=(listening,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        listening.shutdown(socket.SHUT_RDWR)


def get(getter: PlainGetter, url: str, *, total_s: float = 5.0) -> bytes:
    with getter.get(url, total_s=total_s, stall_s=5.0) as reply:
        return b"".join(reply.chunks)


def test_many_files_come_over_one_connection(script: Script, url: str) -> None:
    script.answers = [OK] * 5
    getter = PlainGetter()

    assert [get(getter, url) for _ in range(5)] == [b"hello"] * 5
    assert script.connections == 1


def test_an_answer_that_nobody_reads_does_not_cost_the_connection(script: Script, url: str) -> None:
    script.answers = [ABSENT, OK]
    getter = PlainGetter()

    with pytest.raises(LookupError), getter.get(url, total_s=5.0, stall_s=5.0) as reply:
        assert reply.status == 404
        raise LookupError

    assert get(getter, url) == b"hello"
    assert script.connections == 1


@pytest.mark.parametrize(
    "before",
    [LAST, HUGE, ENDLESS],
    ids=["the server's last", "too long to read", "of a length that nobody knows"],
)
def test_a_connection_that_cannot_go_on_is_replaced(
    script: Script, url: str, before: bytes
) -> None:
    script.answers = [before, OK]
    getter = PlainGetter()
    with getter.get(url, total_s=5.0, stall_s=5.0):
        pass

    assert get(getter, url) == b"hello"
    assert script.connections == 2


def test_a_connection_that_the_server_closed_meanwhile_is_noticed(script: Script) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        getter, came = PlainGetter(), []
        for _ in range(2):
            thread = threading.Thread(target=lambda: came.append(get(getter, url)))
            thread.start()
            connected, _ = listening.accept()
            connected.recv(65536)
            connected.sendall(OK)
            thread.join()
            connected.close()

    assert came == [b"hello"] * 2


def test_what_was_cut_is_not_used_again(script: Script, url: str) -> None:
    script.answers = [HALF, OK]
    getter = PlainGetter()
    began = time.monotonic()

    with pytest.raises(TransferTooSlow):
        get(getter, url, total_s=0.2)

    assert time.monotonic() - began < 3
    assert get(getter, url) == b"hello"
    assert script.connections == 2


@pytest.mark.parametrize("nonsense", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_nonsense_is_a_failed_transfer_and_nothing_else(
    script: Script, url: str, nonsense: bytes
) -> None:
    script.answers = [nonsense]

    with pytest.raises(TransferFailed):
        get(PlainGetter(), url)
