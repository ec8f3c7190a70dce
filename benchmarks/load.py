"""A load generator in a process of its own: ready-made requests over persistent connections.

    python -m benchmarks.load --port N --requests FILE... [--connections C] [--ca FILE]

A file is a MessagePack list of whole HTTP requests; the next one is read when one is used up. They
are sent one after the other on each connection, never pipelined, and only the exchange is timed:
signing is the machines' own work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec
import uvloop

BUSY = 503
AGAIN_S = 0.1


class Queue:
    """What is still to be sent, one file of it in memory."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = deque(files)
        self._held: deque[bytes] = deque()

    def next(self) -> bytes | None:
        """Return the next request; None: there is none any more."""
        while not self._held and self._files:
            read = self._files.popleft().read_bytes()
            self._held = deque(msgspec.msgpack.decode(read, type=list[bytes]))
        return self._held.popleft() if self._held else None

    def put_back(self, request: bytes) -> None:
        self._held.append(request)


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the answer to the last one is complete.

    Who is told that the server is busy comes again a little later, as a machine does.
    """

    def __init__(self, queue: Queue, answers: Counter[int]) -> None:
        self._queue = queue
        self._answers = answers
        self._buffer = b""
        self._sent = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def send_next(self) -> None:
        request = self._queue.next()
        if request is not None:
            self._sent = request
            self.transport.write(request)
        else:
            self.done.set_result(None)
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lower = head.lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(rest) < length:
            return
        status = int(head[9:12])
        self._answers[status] += 1
        self._buffer = rest[length:]
        if status == BUSY:
            self._queue.put_back(self._sent)
            asyncio.get_running_loop().call_later(AGAIN_S, self.send_next)
        else:
            self.send_next()


async def run(port: int, files: Sequence[Path], connections: int, ca: str) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(cafile=ca) if ca else None
    queue, answers = Queue(files), Counter[int]()
    opened = [
        (
            await loop.create_connection(
                lambda: Connection(queue, answers),
                "127.0.0.1",
                port,
                ssl=context,
                server_hostname="localhost" if context else None,
            )
        )[1]
        for _ in range(connections)
    ]
    started = time.perf_counter()
    for connection in opened:
        connection.send_next()
    await asyncio.gather(*(c.done for c in opened))
    return {"seconds": time.perf_counter() - started, "answers": dict(answers)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--requests", type=Path, nargs="+", required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--ca", default="")
    asked = parser.parse_args()
    print(json.dumps(uvloop.run(run(asked.port, asked.requests, asked.connections, asked.ca))))


if __name__ == "__main__":
    main()
