"""One end for a whole attempt: a timeout for each read alone lets a slow other side go on for ever.

Who answers a byte now and then keeps no thread for longer: his connection is closed under him.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Timer

WHOLE_S = 30.0


class Deadline:
    """Closes the connections that it is shown once its time is over."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._shown: list[socket.socket] = []
        self.is_over = False

    def watch(self, connection: socket.socket) -> None:
        with self._lock:
            # Its own handle: TLS takes the one that was made away.
            self._shown.append(connection.dup())
            if self.is_over:
                self._shut()

    def end(self) -> None:
        with self._lock:
            self.is_over = True
            self._shut()

    def close(self) -> None:
        with self._lock:
            for shown in self._shown:
                shown.close()
            self._shown.clear()

    def _shut(self) -> None:
        for shown in self._shown:
            with suppress(OSError):
                shown.shutdown(socket.SHUT_RDWR)


@contextmanager
def deadline(seconds: float) -> Iterator[Deadline]:
    made = Deadline()
    timer = Timer(seconds, made.end)
    timer.daemon = True
    timer.start()
    try:
        yield made
    finally:
        timer.cancel()
        made.close()
