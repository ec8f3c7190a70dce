"""A balancer of bytes before several nodes, as HAProxy or nginx `stream` would be one.

It takes connections in turn to the nodes that accept, tells each who came in a PROXY line, and
forgets a node that does not accept until it does again.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator


class Balancer:
    """`nodes` are ports of this machine; change the list while it runs."""

    def __init__(self, nodes: list[int]) -> None:
        self.nodes = nodes
        self.port = 0
        self.taken: Counter[int] = Counter()
        """Connections by node."""
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def served(self) -> Iterator[str]:
        """Run until the block ends; yield the address."""
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(self._arrived, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield f"https://localhost:{self.port}"
        finally:
            asyncio.run_coroutine_threadsafe(self._close(server), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    async def _close(self, server: asyncio.Server) -> None:
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _arrived(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._carried(reader, writer)
        except (OSError, asyncio.CancelledError):
            return  # its end is the connection's, which is closed below
        finally:
            writer.transport.abort()

    async def _carried(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await self._connected()
        if there is None:
            return
        read, write = there
        host, port = writer.get_extra_info("peername")
        write.write(f"PROXY TCP4 {host} 127.0.0.1 {port} {self.port}\r\n".encode())
        try:
            await asyncio.wait(
                [
                    asyncio.ensure_future(_pump(reader, write)),
                    asyncio.ensure_future(_pump(read, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            write.transport.abort()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in range(len(self.nodes)):
            self._turn += 1
            port = self.nodes[self._turn % len(self.nodes)]
            try:
                opened = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            self.taken[port] += 1
            return opened
        return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
