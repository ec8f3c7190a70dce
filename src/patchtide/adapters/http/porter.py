"""The porter: accepts a busy server's connections, in a process of its own.

TLS ends here. Machines' small requests are read whole and asked of the server over one line, many
at once, and everything else is passed on to it, connection by connection. The porter knows nobody
and has no database; whether a request is answered, and how, the server decides.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import ip_network
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from patchtide.adapters.http.announced import Address
from patchtide.adapters.http.arrivals import ArrivalLimits, Arrivals
from patchtide.adapters.http.descriptors import Room, make_room, of_one_address
from patchtide.adapters.http.exchange import AnswerWhole, Handed
from patchtide.adapters.http.limits import caller_key
from patchtide.adapters.http.passing_on import End, Hand
from patchtide.adapters.http.peers import Peers
from patchtide.adapters.http.porter_line import Answered, Asked, Line, Order
from patchtide.adapters.http.problems import Reply
from patchtide.adapters.http.protocol import (
    BUSY,
    KEEP_ALIVE_S,
    MALFORMED,
    ConnectionLimits,
    GuardedProtocol,
)
from patchtide.adapters.http.tls import server_tls
from patchtide.domain.errors import Unavailable

log = logging.getLogger(__name__)

DRAIN_S = 5.0
FAREWELL_S = 1.0
"""For whom the server has closed already, when all ends: some never say farewell."""
ADDRESSES = 2
"""One address may hold half of what can be passed on: a site may be behind one."""
_LOOK_S = 0.05


class Porter:
    """Serves until the server says that it is over, or is gone."""

    def __init__(self, order: Order, *, hand: socket.socket) -> None:
        self._order = order
        self._hand = Hand(hand)
        self._line = Line(Answered, self._heard)
        self._dismissed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._last = 0
        self._connecting: set[asyncio.Task[None]] = set()
        room = make_room(
            Room(
                connections=order.connections,
                handshakes=order.handshakes,
                events=2 * order.passed_on,
            )
        )
        self._handshakes = room.handshakes
        self._room = room.events // 2
        self._passed_on: set[End] = set()
        self._share = max(1, self._room // ADDRESSES)
        self._passing = Peers()
        self._peers = Peers()
        self._state = ServerState()
        self._config = Config(
            _nothing, ws="none", lifespan="off", log_config=None, timeout_keep_alive=KEEP_ALIVE_S
        )
        self._limits = ConnectionLimits(
            connections=room.connections,
            a_peer=of_one_address(order.connections_a_peer, of=room.connections),
            whole={(method, path): self._asking(name) for name, method, path in order.whole},
        )

    async def serve(self, line: socket.socket, listening: socket.socket) -> None:
        order, loop = self._order, asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self._line, sock=line)
        arrivals = Arrivals(
            listening,
            self._protocol,
            tls=server_tls(order.chain, order.key),
            limits=ArrivalLimits(
                at_once=self._handshakes,
                a_peer=of_one_address(order.handshakes_a_peer, of=self._handshakes),
                balancers=[ip_network(n) for n in order.balancers],
            ),
        )
        self._line.sign()
        await asyncio.wait({self._line.gone, self._dismissed}, return_when=asyncio.FIRST_COMPLETED)
        arrivals.close()
        listening.close()
        await self._drain()

    async def _drain(self) -> None:
        """Wait for what is being answered; the server ends what was passed on."""
        for connection in list(self._state.connections):
            connection.shutdown()
        await self._while(lambda: self._state.connections or self._joined(), within_s=DRAIN_S)
        await self._while(lambda: self._passed_on, within_s=FAREWELL_S)

    def _joined(self) -> bool:
        return any(not near.is_over for near in self._passed_on)

    async def _while(self, is_left: Callable[[], object], *, within_s: float) -> None:
        for _ in range(int(within_s / _LOOK_S)):
            if self._line.gone.done() or not is_left():
                return
            await asyncio.sleep(_LOOK_S)

    def _protocol(self, announced: Address | None) -> asyncio.Protocol:
        made = PorterProtocol(self._config, self._state, {})
        made.limits, made.peers, made.announced = self._limits, self._peers, announced
        made.porter = self
        return made

    def _asking(self, name: str) -> AnswerWhole:
        return partial(self._ask, name)

    async def _ask(self, name: str, request: Handed) -> Reply:
        if len(self._waiting) >= self._limits.connections:
            raise Unavailable("the server answers too slowly")
        self._last += 1
        number = self._last
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        self._line.say(Asked(number, name, request))
        return await waiting

    def _heard(self, answers: Sequence[Answered]) -> None:
        if not answers and not self._dismissed.done():
            self._dismissed.set_result(None)
        for answer in answers:
            waiting = self._waiting.pop(answer.number, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer.reply())

    def pass_on(self, transport: asyncio.Transport, peer: Address | None, begun: bytes) -> bool:
        """Have the server serve this connection from the request on that has begun.

        False: there is no room for it, and nothing was touched.
        """
        key = caller_key(peer)
        if len(self._passed_on) >= self._room or self._passing.held(key) >= self._share:
            return False

        def gone(near: End) -> None:
            self._passed_on.discard(near)
            self._passing.leave(key)

        transport.pause_reading()
        near = End(unread_s=self._order.unread_s, when_gone=gone)
        self._passed_on.add(near)
        self._passing.arrive(key)
        near.connection_made(transport)
        transport.set_protocol(near)
        task = asyncio.get_running_loop().create_task(self._join(near, peer, begun))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return True

    async def _join(self, near: End, peer: Address | None, begun: bytes) -> None:
        far, loop = End(), asyncio.get_running_loop()
        far.write(begun)
        far.join(near)
        upstream: socket.socket | None = None
        try:
            upstream = await self._hand.over(peer)
            await loop.create_unix_connection(lambda: far, sock=upstream)
        except OSError as error:
            log.warning("the server takes no connection: %s", error)
            if upstream is not None:
                upstream.close()
            near.end()
        else:
            near.listen(is_wanted=not far.is_full)


class PorterProtocol(GuardedProtocol):
    """A connection at the porter; `porter` is set by whoever makes it."""

    porter: Porter

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]):
        super().__init__(config, server_state, app_state)
        self._begun: list[bytes] = []
        """What came of the request that is being read, as it came."""
        self._ended_here = self._began_late = False

    def data_received(self, data: bytes) -> None:
        if not self._is_reading:
            self._begun.clear()
        if not self._is_reading or self._is_in_head:
            self._begun.append(data)
        self._ended_here = False
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # Of a request that began behind another, in one piece, the first byte is not known.
        self._began_late = self._ended_here

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.flow.pause_reading()  # until it is answered
        self._ended_here = True

    def _read_whole(self) -> bool:
        is_whole = super()._read_whole()
        if is_whole:
            self._begun.clear()
        return is_whole

    def _begin_another(self) -> None:
        begun = b"".join(self._begun)
        if self._is_answering():
            # Nobody can tell where it begins: it is left, and whoever sent it comes again.
            self._gone, self.cycle.keep_alive = True, False
        elif self._began_late:
            self._end(MALFORMED)
        elif self.flow.write_paused:
            self._end(BUSY)  # who asks for more is to read what he asked for before
        elif self.porter.pass_on(self.transport, self.client, begun):
            self._gone = True
            self._cancel()
            self._leave()
        else:
            self._end(BUSY)


async def _nothing(scope: Mapping[str, Any], receive: object, send: object) -> None:
    raise Unavailable("the porter answers nothing by itself")
