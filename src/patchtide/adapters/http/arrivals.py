"""Accepting connections: who has not finished the TLS handshake is counted and has a deadline.

The event loop's own TLS server shows a connection only once the handshake is done. Until then a
stranger costs a TLS object and a minute, unseen by any limit. So connections are accepted here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from patchtide.adapters.http.announced import Address, announced, is_balancer
from patchtide.adapters.http.limits import caller_key
from patchtide.adapters.http.peers import Peers

log = logging.getLogger(__name__)

AGAIN_S = 1.0
"""Out of descriptors, this long for others to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalLimits:
    handshake_s: float = 10.0
    at_once: int = 2048
    a_peer: int = 256
    """Handshakes of one address at once: a building behind one address has many machines."""
    balancers: Collection[IPv4Network | IPv6Network] = ()
    """Who connects from there says first for whom."""


MakeProtocol = Callable[[Address | None], asyncio.Protocol]
"""Given the address that a balancer told, if there is one between."""


class Arrivals:
    """Accepts on a socket until closed; each connection gets its protocol after its handshake."""

    def __init__(
        self,
        listening: socket.socket,
        protocol: MakeProtocol,
        *,
        tls: ssl.SSLContext,
        limits: ArrivalLimits | None = None,
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._protocol = protocol
        self._tls = tls
        self._limits = limits or ArrivalLimits()
        self._peers = Peers()
        self._shaking: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.resume()

    def pause(self) -> None:
        """Leave what arrives to another process, which accepts on this socket too."""
        self._loop.remove_reader(self._listening)
        if self._again is not None:
            self._again.cancel()

    def resume(self) -> None:
        self._loop.add_reader(self._listening, self._accept)

    def close(self) -> None:
        self.pause()
        for task in self._shaking:
            task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.gather(*self._shaking, return_exceptions=True)

    def _accept(self) -> None:
        try:
            connection, address = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # who accepts on this socket too was quicker, or whoever came is gone
        except OSError:  # out of descriptors, mostly: others must end first
            log.exception("cannot accept connections")
            self.pause()
            self._again = self._loop.call_later(AGAIN_S, self.resume)
            return
        if len(self._shaking) >= self._limits.at_once:
            connection.close()
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._arrived(connection, address[:2]))
        self._shaking.add(task)
        task.add_done_callback(self._shaking.discard)

    async def _arrived(self, connection: socket.socket, address: Address) -> None:
        limits, told = self._limits, None
        try:
            if is_balancer(address[0], limits.balancers):
                told = await announced(connection, within_s=limits.handshake_s)
        except OSError as error:
            log.warning("a balancer at %s was not understood: %s", address[0], error)
            connection.close()
            return
        except asyncio.CancelledError:
            connection.close()
            raise
        await self._shake(connection, caller_key(told or address), told)

    async def _shake(self, connection: socket.socket, peer: str, told: Address | None) -> None:
        try:
            if self._peers.arrive(peer) > self._limits.a_peer:
                connection.close()
                return
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(told),
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=self._limits.handshake_s,
            )
        except OSError:
            # No TLS, none that we speak, too late, or gone: all of them end as OSError, and the
            # transport has closed the connection.
            return
        finally:
            self._peers.leave(peer)
