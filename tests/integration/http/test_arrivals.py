"""S36: who never finishes the TLS handshake is counted, and does not stay."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from itertools import count

import pytest
import trustme
import uvloop

from patchtide.adapters.http.arrivals import ArrivalLimits, Arrivals

CA = trustme.CA()
LIMITS = ArrivalLimits(handshake_s=1, a_peer=20)


class Echo(asyncio.Protocol):
    def __init__(self, announced: tuple[str, int] | None) -> None:
        self.announced = announced

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        told = b"" if self.announced is None else b"%s %d " % (
            self.announced[0].encode(), self.announced[1],
        )  # fmt: skip
        self.transport.write(told + b"heard " + data)


@contextlib.asynccontextmanager
async def listening(
    limits: ArrivalLimits = LIMITS, *, kind: type[socket.socket] = socket.socket
) -> AsyncIterator[int]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("localhost").configure_cert(tls)
    sock = kind(fileno=socket.create_server(("127.0.0.1", 0), backlog=512).detach())
    arrivals = Arrivals(sock, Echo, tls=tls, limits=limits)
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


async def through_a_balancer(port: int, *parts: bytes) -> bytes:
    """Say the parts, then TLS over the same connection."""
    tls = ssl.create_default_context()
    CA.configure_trust(tls)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.05)
        await writer.start_tls(tls, server_hostname="localhost")
        writer.write(b"hello")
        return await asyncio.wait_for(reader.readuntil(b"hello"), 10)
    except (OSError, asyncio.IncompleteReadError):
        return b"refused"
    finally:
        writer.transport.abort()


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


@pytest.mark.parametrize(
    ("address", "ended"), [("2001:db8::{}", 10), ("2001:db8:{}::1", 0)], ids=["one", "many"]
)
def test_a_network_of_ipv6_is_one_address(address: str, ended: int) -> None:
    numbers = count(1)

    class FromAfar(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            connection, _ = super().accept()
            return connection, (address.format(next(numbers)), 1024, 0, 0)

    async def story() -> int:
        async with listening(kind=FromAfar) as port:
            strangers = [await silent(port) for _ in range(30)]
            ended = await asyncio.gather(
                *(asyncio.wait_for(_end(r), 0.4) for r, _ in strangers), return_exceptions=True
            )
            for _, writer in strangers:
                writer.close()
            return ended.count(b"")

    assert uvloop.run(story()) == ended


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


BEHIND = replace(LIMITS, balancers=(ip_network("127.0.0.0/28"),))


@pytest.mark.parametrize(
    ("parts", "answer"),
    [
        ([b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n"], b"192.0.2.7 4711 heard hello"),
        ([b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n"], b"2001:db8::7 4711 heard hello"),
        ([b"PRO", b"XY TCP4 192.0.2.7 10.0.0.1 4711", b" 443\r\n"], b"192.0.2.7 4711 heard hello"),
        ([b"PROXY UNKNOWN\r\n"], b"heard hello"),
        ([b"PROXY TCP4 2001:db8::7 ::1 4711 443\r\n"], b"refused"),
        ([b"PROXY TCP4 192.0.2.7 10.0.0.1 99999 443\r\n"], b"refused"),
        ([b"PROXY TCP4 192.0.2.7\r\n"], b"refused"),
        ([b"PROXY " + b"1" * 200], b"refused"),
        ([b"PROXY TCP4 192."], b"refused"),
        ([], b"refused"),
    ],
)
def test_a_balancer_says_who_came_and_is_not_believed_what_cannot_be_read(
    parts: list[bytes], answer: bytes
) -> None:
    async def story() -> bytes:
        async with listening(BEHIND) as port:
            return await through_a_balancer(port, *parts)

    assert uvloop.run(story()) == answer


def test_nobody_but_a_balancer_can_say_that_he_is_another() -> None:
    async def story() -> bytes:
        async with listening() as port:
            return await through_a_balancer(port, b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n")

    assert uvloop.run(story()) == b"refused"


def test_all_who_come_through_a_balancer_are_counted_for_themselves() -> None:
    async def story() -> list[bytes]:
        async with listening(replace(BEHIND, handshake_s=10, a_peer=2)) as port:
            held = [await silent(port) for _ in range(2)]
            for _, writer in held:
                writer.write(b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n")
            await asyncio.sleep(0.2)
            lines = [b"PROXY TCP4 192.0.2.%d 10.0.0.1 4711 443\r\n" % last for last in (7, 8)]
            answers = [await through_a_balancer(port, line) for line in lines]
            for _, writer in held:
                writer.transport.abort()
            return answers

    assert uvloop.run(story()) == [b"refused", b"192.0.2.8 4711 heard hello"]
