"""A porter in a process of its own: what comes through it, and what is left when it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.server import ServerState

from patchtide.adapters.http.announced import Address
from patchtide.adapters.http.arrivals import Arrivals
from patchtide.adapters.http.behind_porter import BehindPorter
from patchtide.adapters.http.events import Events
from patchtide.adapters.http.exchange import Handed
from patchtide.adapters.http.passing_on import End
from patchtide.adapters.http.porter_line import MESSAGE_BYTES, Answered, Line, Order
from patchtide.adapters.http.problems import Reply
from patchtide.adapters.http.protocol import ConnectionLimits, GuardedProtocol
from patchtide.adapters.http.tls import server_tls
from patchtide.domain.errors import TooMuch
from patchtide.entry.server.porter_process import ENDED_S, PorterProcess
from tests.simulator.processes import own_children

pytestmark = pytest.mark.anyio

WITHIN_S = 30.0
UUID = bytes(16)
LARGE = bytes(range(256)) * 20_000
PARTS, PART = 600, 1 << 16


class Site:
    """A server with a porter from its first connection on."""

    def __init__(self, folder: Path, *, passed_on: int = 100, unread_s: float = 60) -> None:
        ca = trustme.CA()
        issued = ca.issue_cert("localhost")
        self.chain, self.key = folder / "chain.pem", folder / "key.pem"
        self.chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(self.key))
        self.trusting = ssl.create_default_context()
        ca.configure_trust(self.trusting)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.state = ServerState()
        self.events = Events()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.heard: list[Handed] = []
        self.parts = 0
        """Sent of something huge."""
        self.limits = ConnectionLimits(
            whole={("POST", b"/whole"): self.answer},
            take_over={("GET", b"/events"): self.hold},
        )
        self.config = Config(
            self.serve,
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        order = Order(
            chain=str(self.chain),
            key=str(self.key),
            whole=[("whole", "POST", b"/whole")],
            balancers=[],
            connections=100,
            connections_a_peer=100,
            handshakes=100,
            handshakes_a_peer=100,
            passed_on=passed_on,
            unread_s=unread_s,
        )
        self.arrivals = Arrivals(
            self.listening, self.arrived, tls=server_tls(str(self.chain), str(self.key))
        )
        self.porter = PorterProcess(
            order, self.listening, self.behind, arrivals=self.arrivals, crowd=0
        )

    def arrived(self, announced: Address | None) -> asyncio.Protocol:
        self.porter.look(len(self.state.connections))
        return self.protocol(announced)

    def protocol(self, announced: Address | None, *, is_passed_on: bool = False) -> GuardedProtocol:
        made = GuardedProtocol(self.config, self.state, {})
        made.limits, made.peers = self.limits, self.arrivals._peers
        made.announced, made.is_passed_on = announced, is_passed_on
        return made

    def behind(self, when_ready: Callable[[], None]) -> BehindPorter:
        return BehindPorter(
            {"whole": self.answer},
            lambda peer: self.protocol(peer, is_passed_on=True),
            tasks=self.state.tasks,
            when_ready=when_ready,
        )

    async def answer(self, asked: Handed) -> Reply:
        await self.may_answer.wait()
        self.heard.append(asked)
        if asked.query:
            raise TooMuch
        return Reply(status=200, headers=[length(asked.body)], body=asked.body)

    def hold(self, transport: Any, handed: Handed, when_held: Callable[[], None]) -> bool:
        async def admitted() -> bytes:
            return UUID

        return self.events.welcome(transport, admitted(), when_held=when_held)

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        """Say who asked and how, and give back what was sent; or something large."""
        body, more = b"", True
        if scope["path"] == "/refused":
            headers = [length(b""), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 413, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        if scope["path"] == "/huge":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for left in reversed(range(PARTS)):
                self.parts += 1
                await send(
                    {"type": "http.response.body", "body": LARGE[:PART], "more_body": left > 0}
                )
            return
        while more:
            message: MutableMapping[str, Any] = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["path"] == "/large":
            body = LARGE
        elif not body:
            body = f"{scope['scheme']} {scope['client'][0]} {scope['client'][1]}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [length(body)]})
        await send({"type": "http.response.body", "body": body})

    async def come(self) -> Visitor:
        return Visitor(
            *await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self.trusting, server_hostname="localhost"
            )
        )

    async def until_answered(self, sent: bytes) -> tuple[int, bytes]:
        """Come again and again, until there is room."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                visitor = await self.come()
                answer = await visitor.say(sent)
                visitor.close()
                if answer[0] != 503:
                    return answer
                await asyncio.sleep(0.01)

    async def until_the_porter_is_there(self) -> None:
        first = await self.come()
        assert await first.say(post(b"before it")) == (200, b"before it")
        first.close()
        await until(lambda: self.porter.is_ready and not self.state.connections)


class Visitor:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, sent: bytes) -> tuple[int, bytes]:
        self.writer.write(sent)
        return await self.hear()

    async def hear(self) -> tuple[int, bytes]:
        async with asyncio.timeout(WITHIN_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            size = re.search(rb"content-length: (\d+)", head)
            body = await self.reader.readexactly(int(size[1])) if size else b""
        return int(head.split()[1]), body

    async def is_cut(self) -> bool:
        async with asyncio.timeout(WITHIN_S):
            try:
                return await self.reader.read() == b""
            except OSError:
                return True

    def close(self) -> None:
        self.writer.close()

    @property
    def address(self) -> Address:
        host, port = self.writer.get_extra_info("sockname")
        return host, port


def length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", str(len(body)).encode()


def post(body: bytes, path: bytes = b"/whole") -> bytes:
    return b"POST %b HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n%b" % (path, len(body), body)


def get(path: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nhost: h\r\n\r\n" % path


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not is_so():
            await asyncio.sleep(0.01)


def porters() -> list[int]:
    """Return this process's children that are porters."""
    return own_children("patchtide.entry.porter")


@contextlib.asynccontextmanager
async def a_site(
    folder: Path, *, passed_on: int = 100, unread_s: float = 60
) -> AsyncIterator[Site]:
    site = Site(folder, passed_on=passed_on, unread_s=unread_s)
    try:
        await site.until_the_porter_is_there()
        yield site
    finally:
        site.porter.dismiss()
        site.arrivals.close()
        for connection in list(site.state.connections):
            connection.shutdown()
        site.events.close()
        await site.porter.ended()
        site.listening.close()
        assert porters() == []


async def test_one_connection_asks_whole_requests_and_others(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        visitor = await site.come()

        assert await visitor.say(post(b"one")) == (200, b"one")
        assert await visitor.say(post(b"two")) == (200, b"two")
        assert [site.heard[-1].peer, site.heard[-1].body] == ["127.0.0.1", b"two"]
        assert (await visitor.say(post(b"", b"/whole?not=this")))[0] == 429
        # Nothing of all that was a connection of the server's own.
        assert not site.state.connections

        who = "https {} {}".format(*visitor.address).encode()
        assert await visitor.say(get(b"/who")) == (200, who)
        assert len(site.state.connections) == 1
        assert await visitor.say(post(b"three")) == (200, b"three")
        assert await visitor.say(get(b"/large")) == (200, LARGE)
        assert await visitor.say(post(LARGE)) == (200, LARGE)

        visitor.close()
        await until(lambda: not site.state.connections)


async def test_who_reads_slowly_gets_all_and_fills_no_memory(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        slow, other = await site.come(), await site.come()
        slow.writer.transport.pause_reading()
        slow.writer.write(get(b"/huge"))
        await until(lambda: site.parts > 0)
        for _ in range(50):
            assert await other.say(post(b"quick")) == (200, b"quick")
            await asyncio.sleep(0.01)
        # What the system keeps is there, and the rest is not even made.
        assert site.parts < PARTS

        slow.writer.transport.resume_reading()
        async with asyncio.timeout(WITHIN_S):
            assert (await slow.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            for _ in range(PARTS):
                assert await slow.reader.readuntil(b"\r\n") == b"10000\r\n"
                assert await slow.reader.readexactly(PART + 2) == LARGE[:PART] + b"\r\n"


async def test_an_event_line_is_held_through_it(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        machine = await site.come()
        assert (await machine.say(get(b"/events")))[0] == 200
        await until(lambda: len(site.events) == 1)

        site.events.wake([UUID])
        assert await machine.reader.readline() == b'"check-in"\n'

        machine.close()
        await until(lambda: len(site.events) == 0)


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        pytest.param(post(b"a") + get(b"/who"), [200], id="another behind a whole one, in a piece"),
        pytest.param(b"nonsense\r\n\r\n", [400], id="no HTTP"),
        pytest.param(get(b"/" + b"x" * 20_000), [431], id="a head too large"),
    ],
)
async def test_what_cannot_be_told_apart_is_not_guessed_at(
    tmp_path: Path, sent: bytes, statuses: list[int]
) -> None:
    async with a_site(tmp_path) as site:
        visitor = await site.come()
        visitor.writer.write(sent)
        async with asyncio.timeout(WITHIN_S):
            said = b""
            with contextlib.suppress(OSError):
                said = await visitor.reader.read(1000)
            assert [int(s) for s in re.findall(rb"HTTP/1.1 (\d+)", said)] == statuses
        assert not site.state.connections


async def test_only_so_many_are_passed_on(tmp_path: Path) -> None:
    async with a_site(tmp_path, passed_on=1) as site:
        first, second = await site.come(), await site.come()

        assert (await first.say(get(b"/who")))[0] == 200
        assert await second.say(post(b"whole ones are not counted")) == (
            200,
            b"whole ones are not counted",
        )
        assert (await second.say(get(b"/who")))[0] == 503

        first.close()
        assert (await site.until_answered(get(b"/who")))[0] == 200


async def test_who_is_refused_while_he_sends_hears_it(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        for _ in range(20):
            visitor = await site.come()
            assert await visitor.say(post(LARGE, b"/refused")) == (413, b"")
            visitor.close()


async def test_a_request_behind_one_that_is_not_answered_waits(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        visitor = await site.come()
        site.may_answer.clear()
        visitor.writer.write(post(b"one"))
        await until(lambda: bool(site.state.tasks))
        visitor.writer.write(get(b"/who"))
        await asyncio.sleep(0.05)
        site.may_answer.set()

        assert await visitor.hear() == (200, b"one")
        assert (await visitor.hear())[0] == 200


@pytest.mark.parametrize(("second", "status"), [(post(b"two"), 200), (get(b"/who"), 400)])
async def test_a_request_that_began_in_anothers_piece_is_passed_on_to_nobody(
    tmp_path: Path, second: bytes, status: int
) -> None:
    async with a_site(tmp_path) as site:
        visitor = await site.come()

        assert await visitor.say(post(b"one") + second[:9]) == (200, b"one")
        assert (await visitor.say(second[9:]))[0] == status
        assert not site.state.connections


async def test_who_reads_nothing_keeps_no_place(tmp_path: Path) -> None:
    async with a_site(tmp_path, passed_on=10, unread_s=0.3) as site:
        idle = [await site.come() for _ in range(5)]
        for visitor in idle:
            visitor.writer.transport.pause_reading()
            visitor.writer.write(get(b"/huge"))
        await until(lambda: len(site.state.connections) == 5)

        assert (await site.until_answered(get(b"/who")))[0] == 200
        await until(lambda: not site.state.connections)


async def test_when_it_is_killed_the_server_accepts_again(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        asking, passed_on = await site.come(), await site.come()
        assert (await passed_on.say(get(b"/who")))[0] == 200
        site.may_answer.clear()
        asking.writer.write(post(b"never answered"))
        [porter] = porters()
        os.kill(porter, signal.SIGTERM)  # as everybody of a group gets it
        assert (await passed_on.say(get(b"/who")))[0] == 200

        os.kill(porter, signal.SIGKILL)

        assert await asking.is_cut()
        assert await passed_on.is_cut()
        site.may_answer.set()
        await until(lambda: not site.porter.is_ready)
        visitor = await site.come()
        assert await visitor.say(post(b"still there")) == (200, b"still there")
        assert len(site.state.connections) == 1


async def test_what_it_has_asked_is_answered_when_the_server_ends(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        asking, idle = await site.come(), await site.come()
        assert await idle.say(post(b"done")) == (200, b"done")
        site.may_answer.clear()
        asking.writer.write(post(b"late"))
        await until(lambda: bool(site.state.tasks))

        site.porter.dismiss()
        assert await idle.is_cut()
        site.may_answer.set()

        assert await asking.hear() == (200, b"late")


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.1, 0.15, 0.2])
async def test_a_server_may_end_while_its_porter_begins(tmp_path: Path, after_s: float) -> None:
    site = Site(tmp_path)
    visitor = await site.come()
    await asyncio.sleep(after_s)

    site.porter.dismiss()
    site.arrivals.close()
    site.listening.close()
    async with asyncio.timeout(ENDED_S / 2):
        await site.porter.ended()

    visitor.close()
    assert porters() == []


@given(
    said=st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=5), max_size=5),
    cuts=st.lists(st.integers(1, 200), min_size=1),
)
async def test_whatever_pieces_come_the_same_is_heard(
    said: list[list[bytes]], cuts: list[int]
) -> None:
    sent, heard = bytearray(), []

    class Wire:
        def write(self, data: bytes) -> None:
            sent.extend(data)

    def note(answers: Sequence[Answered]) -> None:
        heard.append([a.body for a in answers])

    speaking, hearing = Line(Answered, note), Line(Answered, note)
    speaking.connection_made(Wire())  # type: ignore[arg-type]
    for bodies in said:
        for body in bodies:
            speaking.say(Answered(1, 200, [], body))
        await asyncio.sleep(0)

    while sent:
        for cut in cuts:
            hearing.data_received(bytes(sent[:cut]))
            del sent[:cut]
    assert heard == said


async def test_answers_that_are_long_together_come_in_several_messages() -> None:
    sent, heard = bytearray(), []

    class Wire:
        def write(self, data: bytes) -> None:
            sent.extend(data)

    speaking = Line(Answered, heard.extend)
    speaking.connection_made(Wire())  # type: ignore[arg-type]
    said = [Answered(n, 200, [], bytes(MESSAGE_BYTES // 3)) for n in range(8)]
    for one in said:
        speaking.say(one)
    await asyncio.sleep(0)

    Line(Answered, heard.extend).data_received(bytes(sent))
    assert heard == said


async def test_a_message_beyond_measure_ends_the_line() -> None:
    line = Line(Answered, lambda answers: None)
    with pytest.raises(ConnectionAbortedError):
        line.data_received((MESSAGE_BYTES + 1).to_bytes(4))


async def test_whoever_is_gone_before_he_is_passed_on_leaves_nothing_open() -> None:
    class Wire(asyncio.Transport):
        closed = False

        def close(self) -> None:
            self.closed = True

        def write(self, data: Any) -> None:
            pass

    near, far, wire = End(), End(), Wire()
    near.connection_made(Wire())
    far.write(b"GET / HTTP/1.1\r\n")
    far.join(near)

    near.connection_lost(None)
    far.connection_made(wire)

    assert wire.closed
