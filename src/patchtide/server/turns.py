"""A lock that is had in the order in which it was asked for.

Whoever gives a plain lock back and wants it again has it before those who wait have woken up.
"""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """Use it as a lock, in a `with` statement; not twice in one thread."""

    def __init__(self) -> None:
        self._door = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._is_held = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def __enter__(self) -> None:
        with self._door:
            if not self._is_held:
                self._is_held = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()  # is released by whoever hands the turn over

    def __exit__(self, *_: object) -> None:
        with self._door:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_held = False
