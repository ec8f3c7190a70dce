"""S36, S08 on real sockets: slow clients are dropped, large ones refused, identity unmoved."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme
import uvicorn
from uvicorn.server import ServerState

from patchtide.adapters.http.exchange import Handed
from patchtide.adapters.http.problems import Reply
from patchtide.adapters.http.protocol import ConnectionLimits, guarded_protocol
from tests.integration.http.plane import AdministratorsPlane

HEALTH = b"GET /api/v1/health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
QUICK = ConnectionLimits(request_s=0.5, first_byte_s=0.5)


@asynccontextmanager
async def serving(
    app: Any,
    limits: ConnectionLimits,
    *,
    tls: ssl.SSLContext | None = None,
    drain_s: int = 1,
    on_the_way: int | None = None,
) -> AsyncIterator[int]:
    """A real server on loopback; yields its port. `on_the_way`: what the system takes to send."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    if on_the_way is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, on_the_way)
    config = uvicorn.Config(
        app,
        http=guarded_protocol(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=1,
        timeout_graceful_shutdown=drain_s,
        ssl_context_factory=None if tls is None else lambda config, default: tls,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve([listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await task


def a_pair() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server has, and what its clients trust."""
    ca = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(tls)
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    return tls, trusting


async def exchange(port: int, sent: bytes) -> bytes:
    """Send, and return everything until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        return await asyncio.wait_for(reader.read(-1), 10)
    except ConnectionResetError:
        return b"reset"
    finally:
        writer.close()


def run(
    scenario: Callable[[int], Awaitable[Any]],
    *,
    limits: ConnectionLimits = QUICK,
    app: Any = None,
) -> Any:
    async def story() -> Any:
        async with serving(app or AdministratorsPlane().app, limits) as port:
            return await scenario(port)

    return asyncio.run(story())


SLOW = {
    "says nothing": b"",
    "never ends its request line": b"GET /api/v1/hea",
    "never ends its headers": b"GET /api/v1/health HTTP/1.1\r\nhost: h\r\nx: y",
    "never sends its body": (
        b"POST /api/v1/bootstrap HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n"
    ),
    "never ends its chunks": (
        b"POST /api/v1/bootstrap HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab"
    ),
}


BETWEEN = {
    "blank lines": b"\r\n",
    "half a blank line": b"\r",
}


@pytest.mark.parametrize("said", BETWEEN.values(), ids=BETWEEN)
def test_nothing_said_between_two_requests_holds_the_connection(said: bytes) -> None:
    async def story(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEALTH.replace(b"connection: close\r\n", b""))
        await asyncio.sleep(0.2)
        writer.write(said)
        answer = await asyncio.wait_for(reader.read(-1), 5)
        writer.close()
        return answer

    assert run(story).startswith(b"HTTP/1.1 200")


TRAILERS = {
    "none": (b"", b"HTTP/1.1 204"),
    "one": (b"host: evil\r\n", b""),
    "without end": (b"host: evil\r\n" * 10_000, b""),
}


@pytest.mark.parametrize(("trailers", "answered"), TRAILERS.values(), ids=TRAILERS)
def test_what_comes_after_a_body_is_no_header(trailers: bytes, answered: bytes) -> None:
    seen: list[list[Any]] = []

    async def notes(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            continue
        seen.append(scope["headers"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    head = b"POST /x HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    said = head + b"1\r\nx\r\n0\r\n" + trailers + b"\r\n"

    answer = run(lambda port: exchange(port, said), app=notes)

    assert answer[:12].removeprefix(b"reset") == answered
    assert all(len(headers) == 3 for headers in seen)


def test_the_body_of_an_upgrade_is_not_the_next_request() -> None:
    asked: list[str] = []

    async def notes(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def story(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b"POST /x HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\n"
        writer.write(head + b"content-length: 40\r\n\r\n")
        await asyncio.sleep(0.1)
        writer.write(b"GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(-1), 5)
        writer.close()
        return answer

    assert run(story, app=notes).startswith(b"HTTP/1.1 400")
    assert "/smuggled" not in asked


def test_who_reads_no_answers_is_answered_no_further() -> None:
    answered = 0

    async def long(asked: Handed) -> Reply:
        nonlocal answered
        answered += 1
        return Reply(status=202, headers=[(b"content-length", b"65536")], body=bytes(65536))

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 65536})

    said = b"POST /agent/v1/report HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx"

    async def story(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        for _ in range(300):
            writer.write(said)
            await asyncio.sleep(0.002)
        writer.transport.abort()

    run(story, app=waits, limits=ConnectionLimits(whole={("POST", b"/agent/v1/report"): long}))

    assert 0 < answered < 200


@pytest.mark.parametrize("said", SLOW.values(), ids=SLOW)
def test_a_client_that_stops_in_the_middle_is_dropped(said: bytes) -> None:
    started = time.monotonic()
    answer = run(lambda port: exchange(port, said))

    assert time.monotonic() - started < 5
    assert b"200 OK" not in answer


def test_drop_by_drop_is_no_way_around_the_deadline() -> None:
    async def drip(port: int) -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        started = time.monotonic()
        writer.write(b"GET /api/v1/health HTTP/1.1\r\nhost: h\r\n")
        ended = asyncio.ensure_future(reader.read(-1))
        while not ended.done():
            writer.write(b"x: y\r\n")
            await asyncio.wait([ended], timeout=0.1)
        writer.close()
        return time.monotonic() - started

    # Each header is a sign of life, and none of them extends the deadline.
    assert run(drip) < 3


def test_500_slow_clients_do_not_slow_the_others_down() -> None:
    async def story(port: int) -> tuple[float, int]:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(500)]
        for _, writer in slow:
            writer.write(b"POST /api/v1/bootstrap HTTP/1.1\r\nhost: h\r\ncontent-le")
        times = []
        for _ in range(200):
            started = time.monotonic()
            assert (await exchange(port, HEALTH)).startswith(b"HTTP/1.1 200")
            times.append(time.monotonic() - started)
        ended = await asyncio.gather(*(asyncio.wait_for(r.read(-1), 15) for r, _ in slow))
        for _, writer in slow:
            writer.close()
        return sorted(times)[197], len(ended)

    p99, dropped = run(story, limits=ConnectionLimits(request_s=3, first_byte_s=3))
    assert p99 < 1 and dropped == 500


def test_headers_have_a_size_and_a_number() -> None:
    long = b"GET /api/v1/health HTTP/1.1\r\nhost: h\r\nx: " + b"y" * (17 << 10) + b"\r\n\r\n"
    many = b"GET /api/v1/health HTTP/1.1\r\nhost: h\r\n" + b"x: y\r\n" * 100 + b"\r\n"
    url = b"GET /" + b"a" * (17 << 10) + b" HTTP/1.1\r\nhost: h\r\n\r\n"

    for request in (long, many, url):
        answer = run(lambda port, request=request: exchange(port, request))
        assert answer.startswith(b"HTTP/1.1 431")


def test_a_slow_line_that_keeps_delivering_may_finish() -> None:
    body = b" " * (200 << 10)
    limits = ConnectionLimits(request_s=0.4, part_bytes=8 << 10)
    head = b"POST /agent/v1/report HTTP/1.1\r\nhost: h\r\nconnection: close\r\n"

    async def upload(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + f"content-length: {len(body)}\r\n\r\n".encode())
        for start in range(0, len(body), 20 << 10):
            writer.write(body[start : start + (20 << 10)])
            await asyncio.sleep(0.1)
        answer = await reader.read(-1)
        writer.close()
        return answer

    async def reads_all(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            continue
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    assert run(upload, limits=limits, app=reads_all).startswith(b"HTTP/1.1 204")


def test_one_address_holds_only_so_many_connections() -> None:
    async def story(port: int) -> list[bytes]:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        await asyncio.sleep(0.05)
        refused = await exchange(port, HEALTH)
        held[0][1].close()
        await asyncio.sleep(0.05)
        served = await exchange(port, HEALTH)
        for _, writer in held:
            writer.close()
        return [refused[:12], served[:12]]

    limits = ConnectionLimits(a_peer=5)
    assert run(story, limits=limits) == [b"HTTP/1.1 503", b"HTTP/1.1 200"]


class Somewhere:
    """A transport of a connection from this address."""

    def __init__(self, address: str) -> None:
        self.address = (address, 1024, 0, 0)
        self.said = b""

    def get_extra_info(self, name: str) -> Any:
        return self if name == "socket" else None

    def getpeername(self) -> tuple[str, int, int, int]:
        return self.address

    getsockname = getpeername

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.said += data

    def close(self) -> None: ...

    abort = close


def test_a_network_of_ipv6_is_one_address() -> None:
    async def story() -> list[bytes]:
        make = guarded_protocol(ConnectionLimits(a_peer=2))
        config = uvicorn.Config(AdministratorsPlane().app, ws="none", log_config=None)
        config.load()
        arrived = [Somewhere(f"2001:db8::{n}:1") for n in range(3)]
        arrived += [Somewhere("2001:db8:0:1::1"), Somewhere("2001:db8::9")]
        made = [make(config, ServerState(), {}) for _ in arrived]
        for connection, transport in zip(made, arrived, strict=True):
            if transport is arrived[-1]:
                for gone in made[:2]:
                    gone.connection_lost(None)
            connection.connection_made(transport)  # type: ignore[arg-type]
        for connection in made[2:]:
            connection.connection_lost(None)
        return [transport.said[:12] for transport in arrived]

    assert asyncio.run(story()) == [b"", b"", b"HTTP/1.1 503", b"", b""]


def test_who_is_thrown_out_cannot_stay_by_not_saying_goodbye() -> None:
    tls, trusting = a_pair()
    limits = ConnectionLimits(request_s=0.2, first_byte_s=0.2, farewell_s=0.2)

    def stay(port: int) -> float:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            came, going = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = trusting.wrap_bio(came, going, server_hostname="localhost")
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    plain.sendall(going.read())
                    came.write(plain.recv(65536))
            plain.sendall(going.read())
            started = time.monotonic()
            with contextlib.suppress(ConnectionResetError):
                while plain.recv(65536):
                    continue
            return time.monotonic() - started

    async def story() -> float:
        async with serving(AdministratorsPlane().app, limits, tls=tls) as port:
            return await asyncio.to_thread(stay, port)

    assert asyncio.run(story()) < 5


def test_a_client_that_asks_nothing_does_not_hold_up_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tls, trusting = a_pair()

    def ask(port: int) -> http.client.HTTPSConnection:
        line = http.client.HTTPSConnection("localhost", port, timeout=20, context=trusting)
        line.request("GET", "/api/v1/health")
        assert line.getresponse().read() == b'{"status":"ok"}'
        return line

    quick = ConnectionLimits(farewell_s=0.1)

    async def story() -> http.client.HTTPSConnection:
        async with serving(AdministratorsPlane().app, quick, tls=tls) as port:
            return await asyncio.to_thread(ask, port)

    with contextlib.closing(asyncio.run(story())):
        assert "graceful shutdown exceeded" not in caplog.text


def test_a_client_that_still_reads_has_its_answer_before_the_end() -> None:
    whole = 300_000
    tls, trusting = a_pair()
    ending = threading.Event()

    async def large(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        length = str(whole).encode()
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": bytes(whole)})

    def read(port: int) -> int:
        with socket.socket() as plain:
            # So little fits on the way that most is still with the server when it ends.
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            plain.connect(("127.0.0.1", port))
            with trusting.wrap_socket(plain, server_hostname="localhost") as line:
                line.sendall(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
                answer = line.makefile("rb")
                while answer.readline().strip():
                    continue
                ending.wait(20)
                return len(answer.read(whole))

    async def story() -> int:
        patient = ConnectionLimits(farewell_s=15)
        async with serving(large, patient, tls=tls, drain_s=20, on_the_way=16384) as port:
            reading = asyncio.create_task(asyncio.to_thread(read, port))
            await asyncio.sleep(0.5)
            asyncio.get_running_loop().call_later(0.5, ending.set)
        return await reading

    assert asyncio.run(story()) == whole


def test_a_handed_over_connection_counts_until_somebody_holds_it() -> None:
    let_go: list[Callable[[], None]] = []

    def take_over(transport: asyncio.Transport, request: Handed, when_held: Any) -> bool:
        let_go.append(when_held)
        return True

    limits = ConnectionLimits(a_peer=2, take_over={("GET", b"/agent/v1/events"): take_over})

    async def story(port: int) -> list[bytes]:
        waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _, writer in waiting:
            writer.write(b"GET /agent/v1/events HTTP/1.1\r\nhost: h\r\n\r\n")
        async with asyncio.timeout(5):
            while len(let_go) < 2:
                await asyncio.sleep(0.01)
        refused = await exchange(port, HEALTH)
        let_go[0]()
        served = await exchange(port, HEALTH)
        for _, writer in waiting:
            writer.transport.abort()
        return [refused[:12], served[:12]]

    assert run(story, limits=limits) == [b"HTTP/1.1 503", b"HTTP/1.1 200"]


class Held(asyncio.Protocol):
    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.got: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.got.append(data)
        self.transport.write(b"echo:" + data)


def test_a_request_of_a_held_open_path_leaves_the_web_server_with_its_connection() -> None:
    handed: list[Handed] = []

    def take_over(transport: asyncio.Transport, request: Handed, when_held: Any) -> bool:
        handed.append(request)
        if request.query == b"no":
            return False
        transport.set_protocol(Held(transport))
        when_held()
        transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
        return True

    limits = ConnectionLimits(
        request_s=0.2, first_byte_s=0.2, take_over={("GET", b"/agent/v1/events"): take_over}
    )

    async def story(port: int) -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /agent/v1/events HTTP/1.1\r\nhost: h\r\nx-a: b\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.5)  # no deadline of the web server's concerns it any more
        writer.write(b"ping")
        echo = await asyncio.wait_for(reader.read(100), 5)
        writer.close()
        left = await exchange(
            port, b"GET /agent/v1/events?no HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
        )
        assert left.startswith(b"HTTP/1.1 401")
        return head, echo

    assert run(story, limits=limits) == (b"HTTP/1.1 200 OK\r\n\r\n", b"echo:ping")
    assert (handed[0].method, handed[0].raw_path) == ("GET", b"/agent/v1/events")
    assert (b"x-a", b"b") in handed[0].headers and handed[0].peer == "127.0.0.1"


TRICKS = [
    b"X-Forwarded-User: full-administrator\r\nX-Forwarded-User: root",
    b"Remote_User: root\r\nREMOTE-USER: root\r\nremote_user: root",
    b"Connection: close, authorization\r\nX-Remote-User: root",
    b"Connection: X-Forwarded-User\r\nX-Forwarded-User: root",
    b"X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1;by=127.0.0.1",
    b" Authorization: Bearer root",
    b"X: y\r\n authorization: Bearer root",
    b"Authorization : Bearer root",
    b"Authorization\t: Bearer root",
    b"Authorization:\x00Bearer root",
    b"Transfer-Encoding: chunked\r\nContent-Length: 4",
    b"Content-Length: 4\r\nContent-Length: 5",
    b"Transfer-Encoding: xchunked",
    b"Host: other",
    b"Upgrade: websocket\r\nConnection: upgrade",
    b"Expect: 100-continue",
]


async def played(token: str, plane: AdministratorsPlane) -> dict[bytes, bytes]:
    """Every trick's answer; all at once, since refusing some of them takes its deadline."""
    identity = f"Authorization: Bearer {token}\r\n".encode() if token else b""
    head = b"GET /api/v1/whoami HTTP/1.1\r\nHost: h\r\n" + identity
    async with serving(plane.app, QUICK) as port:
        answers = await asyncio.gather(
            *(exchange(port, head + trick + b"\r\n\r\n") for trick in TRICKS)
        )
    return dict(zip(TRICKS, answers, strict=True))


def test_no_trick_with_headers_makes_nobody_somebody() -> None:
    answers = asyncio.run(played("", AdministratorsPlane()))

    assert [t for t, a in answers.items() if b" 200 " in a or b"administrator" in a] == []


def test_no_trick_with_headers_makes_somebody_else() -> None:
    async def story() -> dict[bytes, bytes]:
        plane = AdministratorsPlane()
        await plane.token(role="full-administrator")
        return await played(await plane.token(role="auditor"), plane)

    answers = asyncio.run(story())
    served = [a for a in answers.values() if b" 200 " in a]
    refused = [a[:12] for a in answers.values() if b" 200 " not in a]
    assert served and all(b'"name":"auditor"' in a for a in served)
    assert set(refused) <= {b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 408", b"", b"reset"}


def test_requests_of_both_kinds_follow_each_other_on_one_connection_in_their_order() -> None:
    async def echo(asked: Handed) -> Reply:
        await asyncio.sleep(0.01)  # the ones behind it must wait
        length = (b"content-length", str(len(asked.body)).encode())
        return Reply(status=202, headers=[length], body=asked.body)

    def said(body: bytes, *more: bytes) -> bytes:
        head = b"POST /agent/v1/report HTTP/1.1\r\nhost: h\r\n" + b"".join(more)
        return head + b"content-length: %d\r\n\r\n" % len(body) + body

    async def story(port: int) -> bytes:
        pieces = said(b"in-pieces")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in (
            said(b"first"),
            said(b"second") + said(b"pipelined"),
            pieces[:20],
            pieces[20:-4],
            pieces[-4:],
            HEALTH.replace(b"connection: close\r\n", b""),
            said(b"last", b"connection: close\r\n"),
        ):
            writer.write(part)
            await asyncio.sleep(0.05)
        answer = await asyncio.wait_for(reader.read(-1), 10)
        writer.close()
        return answer

    limits = ConnectionLimits(whole={("POST", b"/agent/v1/report"): echo})
    answer = run(story, limits=limits)

    order = [b"first", b"second", b"pipelined", b"in-pieces", b"200 OK", b"last"]
    found = [answer.find(word) for word in order]
    assert -1 not in (found[0], found[1], *found[3:]), answer
    assert [f for f in found if f >= 0] == sorted(f for f in found if f >= 0)
    # A pipelined one goes the application's way, where nobody answers agents in this test.
    assert answer.count(b"HTTP/1.1 202") == 4
    assert answer.count(b"HTTP/1.1 ") == 6


@pytest.mark.parametrize(
    "head",
    [b"content-length: 17000", b"transfer-encoding: chunked", b"expect: 100-continue"],
)
def test_what_is_not_a_small_whole_request_goes_to_the_application(head: bytes) -> None:
    async def never(asked: Handed) -> Reply:
        raise AssertionError(asked)

    async def story(port: int) -> bytes:
        said = b"POST /agent/v1/report HTTP/1.1\r\nhost: h\r\nconnection: close\r\n" + head
        return await exchange(port, said + b"\r\n\r\n")

    answer = run(story, limits=ConnectionLimits(whole={("POST", b"/agent/v1/report"): never}))

    assert b"500" not in answer[:20]


def test_a_whole_request_that_fails_is_a_problem_document_and_ends_nothing_else() -> None:
    async def broken(asked: Handed) -> Reply:
        raise ZeroDivisionError

    said = b"POST /agent/v1/report HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx"
    limits = ConnectionLimits(whole={("POST", b"/agent/v1/report"): broken})

    answer = run(lambda port: exchange(port, said + HEALTH), limits=limits)

    assert answer.startswith(b"HTTP/1.1 500")
    assert b"application/problem+json" in answer
    assert b"HTTP/1.1 200 OK" in answer
