"""Putting the server together and keeping it running: socket, application, background work."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import cast

import uvicorn
from cryptography.exceptions import InvalidSignature

from patchtide.adapters.console.compose import build_console
from patchtide.adapters.http.application import Application, build_application
from patchtide.adapters.http.arrivals import ArrivalLimits, Arrivals
from patchtide.adapters.http.noting import noted
from patchtide.adapters.http.problems import status_of
from patchtide.adapters.http.protocol import ConnectionLimits, GuardedProtocol, guarded_protocol
from patchtide.adapters.publisher.checking import mistakes_in
from patchtide.adapters.storage import Storage
from patchtide.adapters.storage.audit_chain import Seal
from patchtide.adapters.trust.keys import KeyFolder
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.adapters.trust.site_keys import SiteKeys, open_site_keys
from patchtide.entry.server.assembly import assemble
from patchtide.entry.server.background import background
from patchtide.entry.server.descriptors import of_one_address
from patchtide.entry.server.node import Server, SystemClock
from patchtide.entry.server.reader_process import ReaderProcess
from patchtide.entry.server.reporter_process import ReporterProcess
from patchtide.entry.server.settings import ServerSettings
from patchtide.server.garbage_collection import settle
from patchtide.server.operations import OPERATIONS

DRAIN_S = 3


async def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT; then finish what was begun, seal the audit and end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as server:
        settle()
        _greet(server)
        await stop.wait()


@contextlib.asynccontextmanager
async def running(settings: ServerSettings) -> AsyncIterator[Server]:
    """Run a server within the block; it answers from the start of the block on."""
    listening = _listen(settings.host, settings.port)
    async with _built(settings, int(listening.getsockname()[1])) as server:
        web = _Web(_web(server), _arrivals(server))
        async with background(server):
            serving = asyncio.create_task(web.serve(sockets=[listening]))
            try:
                await web.up.wait()
                yield server
            finally:
                web.should_exit = True
                server.agents.events.close()
                await serving


class _Web(uvicorn.Server):
    """Leaves signals to whoever runs it, and says when it is up."""

    def __init__(self, config: uvicorn.Config, arrivals: ArrivalLimits) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self._arrivals = arrivals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen with our own arrivals, which count handshakes; uvicorn would not see them."""
        tls = self.config.ssl
        if tls is None or sockets is None:
            raise LookupError("the server has no TLS context or no socket")
        self.servers = [
            Arrivals(s, self._protocol, tls=tls, limits=self._arrivals)  # type: ignore[misc]
            for s in sockets
        ]
        self.started = True
        self.up.set()

    def _protocol(self, announced: tuple[str, int] | None) -> asyncio.Protocol:
        make = cast("Callable[..., GuardedProtocol]", self.config.http_protocol_class)
        made = make(config=self.config, server_state=self.server_state, app_state={})
        made.announced = announced
        return made

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit it. Head and body are two writes; without it the second one
    # waits 40 ms for the peer's delayed acknowledgement.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    made.listen(2048)
    return made


@contextlib.asynccontextmanager
async def _built(settings: ServerSettings, port: int) -> AsyncIterator[Server]:
    clock = SystemClock()
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.home.chmod(0o700)
    folder = settings.home / "keys"
    keys = open_site_keys(folder, site=settings.site, names=settings.served_names, now=clock.now())
    storage = Storage.open(
        settings.database_url,
        agents_url=settings.agents_database,
        seal=_seal(keys),
        beside=ReporterProcess(settings.agents_database or settings.database_url),
    )
    reader = ReaderProcess(settings.database_url)
    try:
        repository = TrustRepository(settings.home / "published", KeyFolder(folder / "trust"))
        repository.create(clock.now())
        server = await assemble(
            settings, port, keys=keys, storage=storage, repository=repository, reader=reader
        )
        with server.code_file.holding(server.code):
            yield server
    finally:
        with contextlib.suppress(Exception):
            await storage.checkpoint_audit(now=clock.now())
        await asyncio.to_thread(reader.close)
        await storage.close()


def _seal(keys: SiteKeys) -> Seal:
    def check(signature: bytes, message: bytes) -> bool:
        try:
            keys.answers.public_key().verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return Seal(keys.answers.sign, check)


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


def _web(server: Server) -> uvicorn.Config:
    routes = {o.name: (o.method, o.path.encode()) for o in OPERATIONS}
    held = server.room.connections
    limits = ConnectionLimits(
        connections=held,
        a_peer=of_one_address(ConnectionLimits().a_peer, of=held),
        take_over={routes["agents.events"]: server.agents.take_over},
        whole={
            routes[name]: noted(name, answer, server.metrics.request)
            for name, answer in server.agents.whole.items()
        },
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
        timeout_keep_alive=75,
        ssl_certfile=str(server.keys.server_chain),
        ssl_keyfile=str(server.keys.server_key),
    )
    config.load()
    if config.ssl is None:
        raise LookupError("the server has no TLS context")
    config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    # Tickets are half a kilobyte a connection, and agents come with a fresh process each time.
    config.ssl.num_tickets = 0
    return config


def _greet(server: Server) -> None:
    lines = []
    if server.code:
        lines += [
            "Nobody has claimed this site yet. On this machine or any that may reach it:",
            f"  patchtide site bootstrap --code {server.code}",
            f"Until then the code is in {server.code_file.path.absolute()} too.",
        ]
    lines.append(f"Site authority (SHA-256): {server.keys.ca_digest}")
    lines.append(f"Serving {server.settings.site} on https://{server.settings.host}:{server.port}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
