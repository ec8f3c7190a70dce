"""Both ends of the line between a server and its porter.

Requests that the porter has read whole go to the server, and answers come back; each message holds
all that was said within one lap of the loop, so that a crowd costs few of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

import msgspec
from msgspec import Struct

from patchtide.adapters.http.exchange import Handed
from patchtide.adapters.http.problems import Reply

T = TypeVar("T", bound=Struct)
ORDER_BYTES = 64 << 10
MESSAGE_BYTES = 16 << 20
"""A longer message is none of ours."""
AT_ONCE = 256
"""So much is said in one message, or less where that would be too long."""
_LENGTH_BYTES = 4
_encode = msgspec.msgpack.Encoder().encode


class Order(Struct, kw_only=True, frozen=True):
    """What a porter is told at its start; the socket to accept on comes with it, and the one by
    which it hands connections on."""

    chain: str
    key: str
    whole: list[tuple[str, str, bytes]]
    """Operation, method and path of what is read whole and asked over the line."""
    balancers: list[str]
    connections: int
    connections_a_peer: int
    handshakes: int
    handshakes_a_peer: int
    passed_on: int
    """Connections it may pass on at once."""
    unread_s: float
    """For a peer to read on when its answer has filled the buffers."""


class Asked(Struct, array_like=True, frozen=True, gc=False):
    number: int
    name: str
    """Of the operation."""
    request: Handed


class Answered(Struct, array_like=True, frozen=True, gc=False):
    number: int
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def reply(self) -> Reply:
        return Reply(status=self.status, headers=self.headers, body=self.body)


class Line(asyncio.Protocol, Generic[T]):
    """One end: says some things and hears others."""

    def __init__(self, hears: type[T], heard: Callable[[Sequence[T]], None]) -> None:
        self._decode = msgspec.msgpack.Decoder(list[hears]).decode  # type: ignore[valid-type]
        self._heard = heard
        self._read = bytearray()
        self._to_say: list[Struct] = []
        self._early = b""
        """What was said before there was a line."""
        self._transport: asyncio.WriteTransport | None = None
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the other end is."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        if self._early:
            self._transport.write(self._early)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.gone.done():
            self.gone.set_result(None)

    def sign(self) -> None:
        """Say nothing: of the porter that it accepts, of the server that it is to end."""
        self._write([])

    def say(self, said: Struct) -> None:
        if not self._to_say:
            asyncio.get_running_loop().call_soon(self._send)
        self._to_say.append(said)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._read += data
        for message in self._messages():
            self._heard(message)

    def _messages(self) -> Sequence[Sequence[Any]]:
        messages, at, held = [], 0, self._read
        while len(held) - at >= _LENGTH_BYTES:
            size = int.from_bytes(held[at : at + _LENGTH_BYTES])
            if size > MESSAGE_BYTES:
                raise ConnectionAbortedError(f"a message of {size} bytes")
            end = at + _LENGTH_BYTES + size
            if len(held) < end:
                break
            with memoryview(held) as view:
                messages.append(self._decode(view[at + _LENGTH_BYTES : end]))
            at = end
        del held[:at]
        return messages

    def _send(self) -> None:
        said, self._to_say = self._to_say, []
        for at in range(0, len(said), AT_ONCE):
            self._write(said[at : at + AT_ONCE])

    def _write(self, said: Sequence[Struct]) -> None:
        message = _encode(said)
        if len(message) > MESSAGE_BYTES and len(said) > 1:
            half = len(said) // 2
            self._write(said[:half])
            self._write(said[half:])
            return
        framed = len(message).to_bytes(_LENGTH_BYTES) + message
        if self._transport is not None:
            self._transport.write(framed)
        elif not self.gone.done():
            self._early += framed
