"""Held-open event connections: what one costs the server in memory.

A process of its own holds them by the very protocol that the server hands connections to. Plain
TCP is what a node behind a balancer that ends TLS has; TLS on the node itself is shown beside it.
"""

from __future__ import annotations

import asyncio
import re
import resource
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import uvloop

from benchmarks.fleet import ROOT, fleet, prepare, server
from patchtide.adapters.http.events import Events

PLAIN, TLS = min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500), 1_000


class _HandOver(asyncio.Protocol):
    """Stands for the web server: reads a request's head, then hands the connection over."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._events.hold(self._transport, data[:16])


async def _hold(connections: int) -> None:
    events = Events(limit=connections)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: _HandOver(events), "127.0.0.1", 0, backlog=4096)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


def _allow_files() -> None:
    """Have as many files open as the machine lets us."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _rss_kb(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


async def _open(port: int, count: int) -> list[asyncio.StreamWriter]:
    writers = []
    for number in range(count):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, limit=256, local_addr=(f"127.0.1.{number % 200 + 1}", 0)
        )
        writer.write(number.to_bytes(16))
        await reader.readuntil(b"\r\n\r\n")
        writers.append(writer)
    return writers


def _plain() -> None:
    command = [sys.executable, "-m", "benchmarks.events", "hold"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        before = _rss_kb(process.pid)

        async def measure() -> float:
            writers = await _open(port, PLAIN)
            each = (_rss_kb(process.pid) - before) / len(writers)
            for writer in writers:
                writer.transport.abort()
            return each

        each = uvloop.run(measure())
        print(f"event connection, {PLAIN} of them, plain\t{each:.1f} KB\t<= 8 KB\t-")
        process.terminate()


async def _open_tls(running: Any, machines: list[Any]) -> float:
    context = ssl.create_default_context(cafile=running.ca)
    before = _rss_kb(running.pid)
    writers = []
    for machine in machines:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", running.port, ssl=context, server_hostname="localhost"
        )
        path = "/agent/v1/events"
        writer.write(machine.request("GET", path, counter=5, authority=running.authority))
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head:
            raise RuntimeError(head)
        writers.append(writer)
    each = (_rss_kb(running.pid) - before) / len(writers)
    for writer in writers:
        writer.transport.abort()
    return each


def main() -> None:
    _allow_files()
    _plain()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        url = f"sqlite:///{home / 'patchtide.db'}"
        machines = fleet(TLS)
        prepare(home, url, machines)
        with server(home, database=url) as running:
            each = asyncio.run(_open_tls(running, machines))
            print(f"event connection, {TLS} of them, TLS on the node\t{each:.1f} KB\t<= 8 KB\t-")


if __name__ == "__main__":
    if sys.argv[1:] == ["hold"]:
        _allow_files()
        uvloop.run(_hold(PLAIN))
    else:
        main()
