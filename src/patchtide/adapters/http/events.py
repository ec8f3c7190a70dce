"""Held-open event connections: "check in now", at a few kilobytes each.

A request to the event path leaves the web server once it is verified: its transport is handed to
a protocol with nothing but slots, no task, no buffer, no parser. The connection says one line a
wake-up and a blank one every few minutes, so that dead peers are noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from itertools import islice
from typing import Any

from patchtide.domain.errors import PatchtideError

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ncache-control: no-store\r\n"
    b"connection: close\r\n\r\n"
)
REFUSED = b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 600\r\ncontent-length: 0\r\n\r\n"
WAKE = b'"check-in"\n'
STILL_HERE = b"\n"
SLICE = 500
ARRIVING_LIMIT = 1000
NEWS_SLICE = 50
NEWS_EVERY_S = 0.25
FAREWELL_S = 2.0
"""How long somebody whose line ends may take to read why, and go."""


class EventConnection(asyncio.Protocol):
    """One machine that listens. What it sends is a mistake and ends the connection."""

    __slots__ = ("_registry", "_transport", "uuid")

    def __init__(self, registry: Events, transport: asyncio.Transport, uuid: bytes) -> None:
        self._registry = registry
        self._transport = transport
        self.uuid = uuid

    def data_received(self, data: bytes) -> None:
        self._transport.abort()

    def eof_received(self) -> None:
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._registry.left(self)

    def say(self, line: bytes) -> None:
        # A peer that reads nothing may not make us buffer: it falls back to polling.
        if self._transport.get_write_buffer_size() > len(WAKE) * 4:
            self._transport.abort()
        else:
            self._transport.write(line)

    def close(self) -> None:
        self._transport.close()

    def close_soon(self) -> None:
        _close_soon(self._transport)


class Events:
    """All event connections of this node; one a machine, the newest wins."""

    def __init__(self, *, limit: int = 20_000, every_s: float = 240.0) -> None:
        self._limit = limit
        self._every_s = every_s
        self._connections: dict[bytes, EventConnection] = {}
        self._announcing: asyncio.Task[None] | None = None
        self._called: dict[bytes, None] = {}
        """Who is to check in, the first to be called first."""
        self._arriving: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._connections)

    def hold(self, transport: asyncio.Transport, uuid: bytes) -> EventConnection | None:
        """Take the transport over; None when the node holds as many as it may."""
        earlier = self._connections.get(uuid)
        if earlier is None and len(self._connections) >= self._limit:
            _refuse(transport, BUSY)
            return None
        if earlier is not None:
            earlier.close_soon()
        connection = EventConnection(self, transport, uuid)
        self._connections[uuid] = connection
        transport.set_protocol(connection)
        transport.write(HEAD)
        return connection

    def welcome(
        self,
        transport: asyncio.Transport,
        admission: Coroutine[Any, Any, bytes],
        *,
        when_held: Callable[[], None],
    ) -> bool:
        """Hold the connection of whom the admission names, once it does.

        False, and nothing is touched: too many wait at this door.
        """
        if len(self._arriving) >= ARRIVING_LIMIT:
            admission.close()
            return False
        task = asyncio.get_running_loop().create_task(self._let_in(transport, admission, when_held))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)
        return True

    async def _let_in(
        self,
        transport: asyncio.Transport,
        admission: Coroutine[Any, Any, bytes],
        when_held: Callable[[], None],
    ) -> None:
        try:
            uuid = await admission
        except PatchtideError:
            _refuse(transport, REFUSED)
            return
        except BaseException:
            transport.abort()
            raise
        if not transport.is_closing() and self.hold(transport, uuid) is not None:
            when_held()

    def left(self, connection: EventConnection) -> None:
        if self._connections.get(connection.uuid) is connection:
            del self._connections[connection.uuid]

    def wake(self, uuids: Iterable[bytes]) -> int:
        """Tell these machines to check in; return how many of them listen here."""
        heard = 0
        for uuid in uuids:
            connection = self._connections.get(uuid)
            if connection is not None:
                connection.say(WAKE)
                heard += 1
        return heard

    def announce(self) -> None:
        """Have every machine that listens check in, some at a time: 20,000 at once is a flood."""
        self.call(list(self._connections))

    def call(self, uuids: Iterable[bytes]) -> None:
        """Have these check in if they listen here, some at a time."""
        self._called.update(dict.fromkeys(uuid for uuid in uuids if uuid in self._connections))
        if self._called and (self._announcing is None or self._announcing.done()):
            self._announcing = asyncio.get_running_loop().create_task(self._announce())

    async def _announce(self) -> None:
        while self._called:
            some = list(islice(self._called, NEWS_SLICE))
            for uuid in some:
                del self._called[uuid]
            self.wake(some)
            await asyncio.sleep(NEWS_EVERY_S)

    async def keep_alive(self) -> None:
        """Touch every connection once in `every_s`, a slice at a time."""
        while True:
            connections = list(self._connections.values())
            slices = max(1, -(-len(connections) // SLICE))
            for start in range(0, slices * SLICE, SLICE):
                for connection in connections[start : start + SLICE]:
                    connection.say(STILL_HERE)
                await asyncio.sleep(self._every_s / slices)

    def close(self) -> None:
        if self._announcing is not None:
            self._announcing.cancel()
        for connection in list(self._connections.values()):
            connection.close()


def _refuse(transport: asyncio.Transport, answer: bytes) -> None:
    transport.write(answer)
    _close_soon(transport)


def _close_soon(transport: asyncio.Transport) -> None:
    """Close it for certain: TLS would wait half a minute for the peer's farewell."""
    transport.close()
    asyncio.get_running_loop().call_later(FAREWELL_S, transport.abort)
