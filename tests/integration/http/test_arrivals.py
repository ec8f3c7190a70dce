"""S36: who never finishes the TLS handshake is counted, and does not stay."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

import trustme
import uvloop

from patchtide.adapters.http.arrivals import ArrivalLimits, Arrivals

CA = trustme.CA()
LIMITS = ArrivalLimits(handshake_s=1, a_peer=20)


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"heard " + data)


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[int]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("localhost").configure_cert(tls)
    sock = socket.create_server(("127.0.0.1", 0), backlog=512)
    arrivals = Arrivals(sock, Echo, tls=tls, limits=LIMITS)
    try:
        yield sock.getsockname()[1]
    finally:
        arrivals.close()
        await arrivals.wait_closed()
        sock.close()


async def ask(port: int, *, source: str = "127.0.0.1") -> bytes:
    tls = ssl.create_default_context()
    CA.configure_trust(tls)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname="localhost", local_addr=(source, 0)
    )
    writer.write(b"hello")
    answer = await asyncio.wait_for(reader.readuntil(b"hello"), 10)
    writer.close()
    return answer


async def silent(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


def test_silent_strangers_are_dropped_and_shut_out_nobody_of_another_address() -> None:
    async def story() -> tuple[bytes, int, list[bytes]]:
        async with listening() as port:
            strangers = [await silent(port) for _ in range(40)]
            served = await ask(port, source="127.0.0.2")
            at_once = await asyncio.gather(
                *(asyncio.wait_for(_end(r), 0.4) for r, _ in strangers), return_exceptions=True
            )
            refused = sum(said == b"" for said in at_once)
            later = await asyncio.gather(*(asyncio.wait_for(_end(r), 10) for r, _ in strangers))
            for _, writer in strangers:
                writer.close()
            return served, refused, later

    served, refused, later = uvloop.run(story())

    assert served == b"heard hello"
    assert refused == 20
    assert later == [b""] * 40


def test_a_network_of_ipv6_is_one_address() -> None:
    async def story() -> int:
        loop = asyncio.get_running_loop()
        accept, come = loop.sock_accept, 0

        async def from_afar(listening: socket.socket) -> tuple[socket.socket, object]:
            nonlocal come
            connection, _ = await accept(listening)
            come += 1
            return connection, (f"2001:db8::{come}", 1024, 0, 0)

        loop.sock_accept = from_afar  # type: ignore[method-assign]
        async with listening() as port:
            strangers = [await silent(port) for _ in range(30)]
            ended = await asyncio.gather(
                *(asyncio.wait_for(_end(r), 0.4) for r, _ in strangers), return_exceptions=True
            )
            for _, writer in strangers:
                writer.close()
            return ended.count(b"")

    # On the standard library's event loop: uvloop's methods cannot be stood in for.
    assert asyncio.run(story()) == 10


def test_garbage_instead_of_a_handshake_ends_that_connection_only() -> None:
    async def story() -> tuple[bytes, bytes]:
        async with listening() as port:
            reader, writer = await silent(port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            said = await asyncio.wait_for(_end(reader), 10)
            writer.close()
            return said, await ask(port)

    said, served = uvloop.run(story())

    assert b"HTTP" not in said
    assert served == b"heard hello"


def test_what_comes_with_the_end_of_the_handshake_is_not_lost() -> None:
    async def story() -> list[bytes]:
        async with listening() as port:
            return await asyncio.gather(*(asyncio.to_thread(_at_once, port) for _ in range(16)))

    assert uvloop.run(story()) == [b"heard hello"] * 16


def _at_once(port: int) -> bytes:
    """Send the last flight and the first request in one packet."""
    tls = ssl.create_default_context()
    CA.configure_trust(tls)
    came, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.wrap_bio(came, going, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(going.read())
                came.write(sock.recv(65536))
        client.write(b"hello")
        sock.sendall(going.read())
        while True:
            try:
                return client.read(100)
            except ssl.SSLWantReadError:
                said = sock.recv(65536)
                assert said
                came.write(said)


async def _end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(-1)
    except ConnectionResetError:
        return b""
