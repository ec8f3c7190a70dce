"""Both ends of the line to a process that verifies signatures for a busy server.

Each call into libsodium gives up the interpreter and has to get it back from threads that are
busy; for a signature that takes longer than to verify it. A process of its own waits for nobody.

A question is a length and a MessagePack list of claims, the answer a byte a claim. The process
says one byte when it can be asked.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Sequence

import msgspec

from patchtide.adapters.sodium.verifier import Claim, verdict

READY = b"\x01"
_LENGTH = struct.Struct(">I")
_PATIENCE_S = 20.0
_claims = msgspec.msgpack.Decoder(list[Claim])


def serve(line: socket.socket) -> None:
    """Answer until the other end is closed."""
    with line.makefile("rb") as asked:
        line.sendall(READY)
        while head := asked.read(_LENGTH.size):
            [length] = _LENGTH.unpack(head)
            claims = _claims.decode(asked.read(length))
            line.sendall(bytes(verdict(claim) for claim in claims))


def is_ready(line: socket.socket) -> bool:
    """Say, once, whether the process at the other end has begun to listen.

    Raises:
        ConnectionError: it has ended.
    """
    if not select.select([line], [], [], 0)[0]:
        return False
    _read(line, len(READY))
    line.settimeout(_PATIENCE_S)
    return True


def ask(line: socket.socket, claims: Sequence[Claim]) -> list[bool]:
    """Return the verdicts.

    Raises:
        OSError: the process has ended, or does not answer.
    """
    question = msgspec.msgpack.encode(claims)
    line.sendall(_LENGTH.pack(len(question)) + question)
    return [byte == 1 for byte in _read(line, len(claims))]


def _read(line: socket.socket, size: int) -> bytes:
    answer = b""
    while len(answer) < size:
        part = line.recv(size - len(answer))
        if not part:
            raise ConnectionResetError("the verifying process has ended")
        answer += part
    return answer
