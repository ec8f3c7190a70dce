"""A connection that the porter passes on: TLS ends here, and everything within it at the server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import cast

from patchtide.adapters.http.announced import Address

UNREAD_S = 60.0
_TOLD_BYTES = 128
_AT_ONCE = 64


class End(asyncio.Protocol):
    """One end of a connection that is passed on; what comes in here goes out at the other."""

    def __init__(
        self, *, unread_s: float = UNREAD_S, when_gone: Callable[[End], None] | None = None
    ) -> None:
        """`unread_s`: for a peer to read on when what is for it has filled the buffers."""
        self._transport: asyncio.Transport | None = None
        self._other: End | None = None
        self._early: bytes | None = b""
        """What is for it and came before its connection; None: it is there, or was."""
        self.is_full = False
        """It takes no more for now."""
        self.is_over = False
        """The other end is gone: what was to be sent is still sent, and that is all."""
        self._unread_s = unread_s
        self._stalled: asyncio.TimerHandle | None = None
        self._when_gone = when_gone

    def join(self, other: End) -> None:
        self._other, other._other = other, self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        early, self._early = self._early, None
        if early:
            self._transport.write(early)
        if self.is_over:  # whoever it is for went away meanwhile
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._other is not None:
            self._other.write(data)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
        elif self._early is not None:
            self._early += data

    def pause_writing(self) -> None:
        self.is_full = True
        if self._transport is not None:
            # Who does not listen meanwhile does not see that the other end has gone, either.
            abort, loop = self._transport.abort, asyncio.get_running_loop()
            self._stalled = loop.call_later(self._unread_s, abort)
        if self._other is not None:
            self._other.listen(is_wanted=False)

    def resume_writing(self) -> None:
        self.is_full = False
        self._go_on()
        if self._other is not None:
            self._other.listen(is_wanted=True)

    def listen(self, *, is_wanted: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if is_wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._go_on()
        self._transport = None
        other, self._other = self._other, None
        if other is not None:
            other.end()
        if self._when_gone is not None:
            self._when_gone(self)

    def end(self) -> None:
        """Send what is still to be sent, and close."""
        self._other, self.is_over = None, True
        if self._transport is not None:
            self._transport.close()


class Hand:
    """By which connections are handed to another process, one after the other."""

    def __init__(self, hand: socket.socket) -> None:
        hand.setblocking(False)
        self._hand = hand
        self._turn = asyncio.Lock()

    async def over(self, peer: Address | None) -> socket.socket:
        """Give one end of a new connection, with whose it is; return the other end.

        Raises:
            OSError: nobody takes it any more, or there are no descriptors left.
        """
        ours, theirs = socket.socketpair()
        told = b" " if peer is None else f"{peer[0]} {peer[1]}".encode()
        try:
            with theirs:
                async with self._turn:
                    while not self._is_sent(told, theirs):
                        await writable(self._hand)
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        return ours

    def _is_sent(self, told: bytes, theirs: socket.socket) -> bool:
        try:
            socket.send_fds(self._hand, [told], [theirs.fileno()])
        except BlockingIOError:
            return False
        return True


async def writable(sock: socket.socket) -> None:
    """Return once more can be sent."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(sock)


def taken_over(hand: socket.socket) -> Iterator[tuple[socket.socket, Address | None]]:
    """Yield connections that were handed over, and whose they are: some of those there are now.

    Raises:
        OSError: nobody hands anything over any more.
    """
    for _ in range(_AT_ONCE):
        try:
            told, held, _, _ = socket.recv_fds(hand, _TOLD_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        if not told:
            raise ConnectionResetError("the porter has ended")
        if not held:  # no descriptor was left for it; the other end is told by the system
            continue
        connection = socket.socket(fileno=held[0])
        connection.setblocking(False)
        host, _, port = told.decode().partition(" ")
        yield connection, (host, int(port)) if host else None
