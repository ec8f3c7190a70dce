"""A line between two machines that is slow, narrow, cut or silent, or delivers things twice.

It carries bytes and knows nothing of what they mean, so it stands in front of TLS as well as of
plain HTTP. Its ways may be changed while it runs; connections made later follow the change.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto

CHUNK = 64 << 10


class End(Enum):
    """What happens once a way has carried `ends_after` bytes."""

    RESET = auto()
    HALF_CLOSE = auto()
    """Nothing more goes this way; the other way stays open."""
    SILENCE = auto()
    """Everything more is swallowed, and the connection stays open."""


@dataclass(slots=True, kw_only=True)
class Way:
    """One direction."""

    latency_s: float = 0.0
    bytes_per_s: float | None = None
    slice_bytes: int = CHUNK
    """At most so many bytes are written at once."""
    ends_after: int | None = None
    end: End = End.RESET


@dataclass(slots=True, kw_only=True)
class BadLine:
    """Leads to `host` and `port`. `up` is towards them, `down` is back."""

    host: str
    port: int
    up: Way = field(default_factory=Way)
    down: Way = field(default_factory=Way)
    copies: int = 0
    """How many times more what comes up is delivered; the answers to these are thrown away."""
    refusing: bool = False
    connections: int = 0

    @contextmanager
    def served(self) -> Iterator[tuple[str, int]]:
        """Yield the address of the near end."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        listening = asyncio.run_coroutine_threadsafe(self._listen(), loop).result()
        try:
            yield listening.sockets[0].getsockname()[:2]
        finally:
            asyncio.run_coroutine_threadsafe(_end(listening), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._carry, "127.0.0.1", 0)

    async def _carry(self, near_in: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        self.connections += 1
        ends = [near]
        try:
            if self.refusing:
                _reset(near)
                return
            far_in, far = await asyncio.open_connection(self.host, self.port)
            ends.append(far)
            copies = [
                await asyncio.open_connection(self.host, self.port) for _ in range(self.copies)
            ]
            ends += [writer for _, writer in copies]
            async with asyncio.TaskGroup() as group:
                group.create_task(_convey(near_in, [far, *(w for _, w in copies)], self.up, ends))
                group.create_task(_convey(far_in, [near], self.down, ends))
                for reader, _ in copies:
                    group.create_task(_swallow(reader))
        except* OSError:
            pass  # an end went away: that is an end of this connection, as on any line
        finally:
            for writer in ends:
                writer.close()


async def _convey(
    reader: asyncio.StreamReader,
    writers: list[asyncio.StreamWriter],
    way: Way,
    ends: list[asyncio.StreamWriter],
) -> None:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
    async with asyncio.TaskGroup() as group:
        group.create_task(_deliver(waiting, writers, way, ends))
        while chunk := await reader.read(way.slice_bytes):
            await waiting.put((loop.time() + way.latency_s, chunk))
        await waiting.put((loop.time() + way.latency_s, b""))


async def _deliver(
    waiting: asyncio.Queue[tuple[float, bytes]],
    writers: list[asyncio.StreamWriter],
    way: Way,
    ends: list[asyncio.StreamWriter],
) -> None:
    carried = 0
    while True:
        due, chunk = await waiting.get()
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        room = None if way.ends_after is None else max(0, way.ends_after - carried)
        for writer in writers:
            writer.write(chunk[:room])
            await writer.drain()
        carried += len(chunk)
        if way.bytes_per_s:
            await asyncio.sleep(len(chunk) / way.bytes_per_s)
        over = not chunk or (way.ends_after is not None and carried >= way.ends_after)
        if over:
            await _finish(writers, End.HALF_CLOSE if not chunk else way.end, ends)
            break
    while chunk:  # what comes after the end is swallowed, until its sender has had enough
        _, chunk = await waiting.get()


async def _finish(
    writers: list[asyncio.StreamWriter], end: End, ends: list[asyncio.StreamWriter]
) -> None:
    if end is End.RESET:
        for writer in ends:
            _reset(writer)
    elif end is End.HALF_CLOSE:
        for writer in writers:
            with suppress(OSError):
                writer.write_eof()


async def _swallow(reader: asyncio.StreamReader) -> None:
    while await reader.read(CHUNK):
        pass


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _end(listening: asyncio.Server) -> None:
    listening.close()
    here = asyncio.current_task()
    open_tasks = [task for task in asyncio.all_tasks() if task is not here]
    for task in open_tasks:
        task.cancel()
    await asyncio.gather(*open_tasks, return_exceptions=True)
