"""The process that accepts a busy server's connections: begun with the first crowd."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Callable

import msgspec

from patchtide.adapters.http.arrivals import Arrivals
from patchtide.adapters.http.behind_porter import BehindPorter
from patchtide.adapters.http.porter_line import Order
from patchtide.adapters.platforms.commands import ENVIRONMENT, CommandFailed, Running
from patchtide.entry.server.beside import AGAIN_S
from patchtide.entry.server.feed_process import own_path

log = logging.getLogger(__name__)

MODULE = "patchtide.entry.porter"
CROWD = 64
"""So many connections at once make a process worth its memory."""
PATIENCE_S = 2.0
ENDED_S = 10.0
"""One that was dismissed has this long to have its last requests answered."""


class PorterProcess:
    """Begun once there is a crowd, and there until the server ends; begun anew if it fails."""

    def __init__(
        self,
        order: Order,
        listening: socket.socket,
        serve: Callable[[Callable[[], None]], BehindPorter],
        *,
        arrivals: Arrivals,
        crowd: int = CROWD,
    ) -> None:
        """`serve` makes the server's end, given what to call once the porter is ready; `arrivals`
        are the server's own, on the same socket."""
        self._order = order
        self._listening = listening
        self._serve = serve
        self._arrivals = arrivals
        self._crowd = crowd
        self._work: asyncio.Task[None] | None = None
        self._behind: BehindPorter | None = None
        self._not_before = 0.0
        self._is_over = False
        self.is_ready = False
        """There is such a process, and it accepts."""

    def look(self, connections: int) -> None:
        """Begin it if so many connections are a crowd."""
        if connections < self._crowd or self._work is not None or self._is_over:
            return
        if time.monotonic() >= self._not_before:
            self._work = asyncio.get_running_loop().create_task(self._run())

    def dismiss(self) -> None:
        """Have it accept no more; it ends when all that it has asked is answered."""
        self._is_over = True
        if self._behind is not None:
            self._behind.dismiss()

    async def ended(self) -> None:
        """Wait until it has, or end it."""
        if self._work is not None:
            await asyncio.wait({self._work}, timeout=ENDED_S)
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _run(self) -> None:
        line, theirs = socket.socketpair()
        hand, handing = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process: Running | None = None
        try:
            with theirs, handing:
                process = await asyncio.to_thread(self._start, theirs)
                told = msgspec.msgpack.encode(self._order)
                socket.send_fds(line, [told], [self._listening.fileno(), handing.fileno()])
            if not self._is_over:
                self._behind = self._serve(self._is_up)
                await self._behind.serve(line, hand)
        except (OSError, CommandFailed) as error:
            log.warning("there is no porter: %s", error)
        finally:
            self._accept_again()
            line.close()
            hand.close()
            if process is not None:
                await asyncio.to_thread(process.stop, patience_s=PATIENCE_S)

    def _is_up(self) -> None:
        if self._is_over:
            return
        self.is_ready = True
        self._arrivals.pause()

    def _accept_again(self) -> None:
        self._behind, self.is_ready = None, False
        if not self._is_over:
            log.warning("connections are accepted within the server for a while")
            self._not_before = time.monotonic() + AGAIN_S
            self._work = None
            self._arrivals.resume()

    def _start(self, theirs: socket.socket) -> Running:
        return Running(
            [sys.executable, "-P", "-m", MODULE, str(theirs.fileno())],
            log=None,
            environment={**ENVIRONMENT, **own_path()},
            keep=theirs.fileno(),
        )
