"""Both ends of the line between a busy server and a process of its own that works beside it.

A message is its length and its bytes. The first one says what the process needs to begin, and is
answered when it can be asked; from then on each question has one answer, until the line is closed.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

Answer = Callable[[bytes], bytes]
PATIENCE_S = 20.0
_LENGTH = struct.Struct(">I")
_PIECE = 1 << 16


def serve(line: socket.socket, begin: Callable[[bytes], Answer]) -> None:
    """Answer until the other end is closed."""
    with line.makefile("rb") as asked:
        answer: Answer | None = None
        while head := asked.read(_LENGTH.size):
            [length] = _LENGTH.unpack(head)
            message = asked.read(length)
            if answer is None:
                answer = begin(message)
                tell(line, b"")
            else:
                tell(line, answer(message))


def is_ready(line: socket.socket) -> bool:
    """Say, once, whether the process at the other end can be asked.

    Raises:
        ConnectionError: it has ended.
    """
    try:
        line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    line.settimeout(PATIENCE_S)
    _message(line)
    return True


def ask(line: socket.socket, question: bytes) -> bytes:
    """Return the answer.

    Raises:
        OSError: the process has ended, or does not answer.
    """
    tell(line, question)
    return _message(line)


def tell(line: socket.socket, message: bytes) -> None:
    line.sendall(_LENGTH.pack(len(message)) + message)


def _message(line: socket.socket) -> bytes:
    [length] = _LENGTH.unpack(_read(line, _LENGTH.size))
    return _read(line, length)


def _read(line: socket.socket, size: int) -> bytes:
    read = bytearray()
    while len(read) < size:
        part = line.recv(min(size - len(read), _PIECE))
        if not part:
            raise ConnectionResetError("the process beside the server has ended")
        read += part
    return bytes(read)
