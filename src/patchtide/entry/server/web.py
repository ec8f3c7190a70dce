"""The web server of one node: arrivals, application, and in a crowd a porter."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import cast

import uvicorn

from patchtide.adapters.console.compose import build_console
from patchtide.adapters.http.announced import Address
from patchtide.adapters.http.application import Application, build_application
from patchtide.adapters.http.arrivals import ArrivalLimits, Arrivals
from patchtide.adapters.http.behind_porter import BehindPorter
from patchtide.adapters.http.descriptors import of_one_address
from patchtide.adapters.http.exchange import AnswerWhole
from patchtide.adapters.http.noting import noted
from patchtide.adapters.http.porter_line import Order
from patchtide.adapters.http.problems import status_of
from patchtide.adapters.http.protocol import (
    KEEP_ALIVE_S,
    ConnectionLimits,
    GuardedProtocol,
    guarded_protocol,
)
from patchtide.adapters.http.tls import server_tls
from patchtide.adapters.publisher.checking import mistakes_in
from patchtide.entry.server.node import Server
from patchtide.entry.server.porter_process import PorterProcess
from patchtide.server.operations import OPERATIONS

DRAIN_S = 3
_ROUTES = {o.name: (o.method, o.path.encode()) for o in OPERATIONS}


class Web(uvicorn.Server):
    """Leaves signals to whoever runs it, says when it is up, and has a porter in a crowd."""

    def __init__(self, server: Server) -> None:
        # Whether the porter brings a request or it comes here, it is counted.
        self._whole = {
            name: noted(name, answer, server.metrics.request)
            for name, answer in server.agents.whole.items()
        }
        super().__init__(_config(server, self._whole))
        self.up = asyncio.Event()
        self._server = server
        self._porter: PorterProcess | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen with our own arrivals, which count handshakes; uvicorn would not see them."""
        if sockets is None:
            raise LookupError("the server has no socket")
        [listening] = sockets
        keys, limits = self._server.keys, _arrivals(self._server)
        tls = server_tls(str(keys.server_chain), str(keys.server_key))
        arrivals = Arrivals(listening, self._arrived, tls=tls, limits=limits)
        self._porter = PorterProcess(
            _order(self._server, limits, whole=self._whole),
            listening,
            self._behind,
            arrivals=arrivals,
        )
        self.servers = [arrivals]  # type: ignore[list-item]
        self.started = True
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._porter is not None:
            self._porter.dismiss()
        await super().shutdown(sockets)
        if self._porter is not None:
            await self._porter.ended()

    def _behind(self, when_ready: Callable[[], None]) -> BehindPorter:
        return BehindPorter(
            self._whole,
            partial(self._protocol, is_passed_on=True),
            tasks=self.server_state.tasks,
            when_ready=when_ready,
        )

    def _arrived(self, announced: Address | None) -> asyncio.Protocol:
        if self._porter is not None:
            self._porter.look(len(self.server_state.connections))
        return self._protocol(announced)

    def _protocol(
        self, announced: Address | None, *, is_passed_on: bool = False
    ) -> asyncio.Protocol:
        make = cast("Callable[..., GuardedProtocol]", self.config.http_protocol_class)
        made = make(config=self.config, server_state=self.server_state, app_state={})
        made.announced, made.is_passed_on = announced, is_passed_on
        return made

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _application(server: Server) -> Application:
    console = build_console(
        server.context, OPERATIONS, status_of=status_of, mistakes_in=mistakes_in
    )
    handlers = {**server.agents.endpoints, **console.endpoints}
    return build_application(
        OPERATIONS,
        handlers,
        context=server.context,
        tell=console.refuse,
        answered=server.metrics.request,
        people=server.agents.people,
    )


def _arrivals(server: Server) -> ArrivalLimits:
    at_once = server.room.handshakes
    return ArrivalLimits(
        at_once=at_once,
        a_peer=of_one_address(ArrivalLimits().a_peer, of=at_once),
        balancers=server.settings.balancers,
    )


def _config(server: Server, whole: Mapping[str, AnswerWhole]) -> uvicorn.Config:
    held = server.room.connections
    limits = ConnectionLimits(
        connections=held,
        a_peer=of_one_address(ConnectionLimits().a_peer, of=held),
        take_over={_ROUTES["agents.events"]: server.agents.take_over},
        whole={_ROUTES[name]: answer for name, answer in whole.items()},
    )
    config = uvicorn.Config(
        _application(server),
        http=guarded_protocol(limits),
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    config.load()
    return config


def _order(server: Server, arrivals: ArrivalLimits, *, whole: Iterable[str]) -> Order:
    room = server.room
    return Order(
        chain=str(server.keys.server_chain),
        key=str(server.keys.server_key),
        whole=[(name, *_ROUTES[name]) for name in whole],
        balancers=[str(network) for network in arrivals.balancers],
        connections=room.connections,
        connections_a_peer=of_one_address(ConnectionLimits().a_peer, of=room.connections),
        handshakes=arrivals.at_once,
        handshakes_a_peer=arrivals.a_peer,
        passed_on=room.connections + room.events,
        unread_s=ConnectionLimits().unread_s,
    )
