"""The server's end of what its porter brings: whole requests, and connections that it passed on."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence

from patchtide.adapters.http.announced import Address
from patchtide.adapters.http.exchange import AnswerWhole, Handed, replied
from patchtide.adapters.http.passing_on import taken_over
from patchtide.adapters.http.porter_line import Answered, Asked, Line
from patchtide.adapters.http.problems import Reply
from patchtide.domain.errors import NotFound

log = logging.getLogger(__name__)


class BehindPorter:
    """Answers one porter until it ends."""

    def __init__(
        self,
        whole: Mapping[str, AnswerWhole],
        protocol: Callable[[Address | None], asyncio.Protocol],
        *,
        tasks: set[asyncio.Task[None]],
        when_ready: Callable[[], None],
    ) -> None:
        """`tasks` holds what is being worked on: the server waits for them when it ends."""
        self._whole = whole
        self._protocol = protocol
        self._tasks = tasks
        self._when_ready = when_ready
        self._line = Line(Asked, self._heard)

    async def serve(self, line: socket.socket, hand: socket.socket) -> None:
        """Serve until the porter has ended."""
        loop = asyncio.get_running_loop()
        hand.setblocking(False)
        loop.add_reader(hand, self._take_over, hand)
        try:
            await loop.create_unix_connection(lambda: self._line, sock=line)
            await self._line.gone
        finally:
            loop.remove_reader(hand)
            hand.close()
            self._line.close()

    def dismiss(self) -> None:
        """Have it accept no more, and end once all that it has asked is answered."""
        self._line.sign()

    def _heard(self, asked: Sequence[Asked]) -> None:
        if not asked:
            self._when_ready()
        loop = asyncio.get_running_loop()
        for one in asked:
            task = loop.create_task(self._answer(one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, asked: Asked) -> None:
        reply = await replied(self._whole.get(asked.name, _nobody), asked.request)
        self._line.say(Answered(asked.number, reply.status, reply.headers, reply.body))

    def _take_over(self, hand: socket.socket) -> None:
        try:
            for connection, peer in taken_over(hand):
                task = asyncio.get_running_loop().create_task(self._begin(connection, peer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except (OSError, ValueError):  # it has ended, or says what no porter says
            asyncio.get_running_loop().remove_reader(hand)

    async def _begin(self, connection: socket.socket, peer: Address | None) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(peer), connection
            )
        except OSError as error:
            log.warning("a connection that was passed on was lost: %s", error)


async def _nobody(request: Handed) -> Reply:
    raise NotFound
