"""Putting the server together and keeping it running: socket, application, background work."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator

from cryptography.exceptions import InvalidSignature

from patchtide.adapters.storage import Storage
from patchtide.adapters.storage.audit_chain import Seal
from patchtide.adapters.trust.keys import KeyFolder
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.adapters.trust.site_keys import SiteKeys, open_site_keys
from patchtide.entry.server.assembly import assemble
from patchtide.entry.server.background import background
from patchtide.entry.server.node import Server, SystemClock
from patchtide.entry.server.reader_process import ReaderProcess
from patchtide.entry.server.reporter_process import ReporterProcess
from patchtide.entry.server.settings import ServerSettings
from patchtide.entry.server.web import Web
from patchtide.server.garbage_collection import settle


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
        web = Web(server)
        async with background(server):
            serving = asyncio.create_task(web.serve(sockets=[listening]))
            try:
                await web.up.wait()
                yield server
            finally:
                web.should_exit = True
                server.agents.events.close()
                await serving


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
