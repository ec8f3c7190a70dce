"""Who came to a balancer: the PROXY line (version 1) that it says before anything else.

Only whoever connects from a balancer's address is asked for it, and must say it: anybody else
could claim to be anybody.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address

Address = tuple[str, int]

LONGEST = 107
_BEGIN = b"PROXY "
_LOOK_EVERY_S = 0.01


class NotAnnounced(ConnectionError):
    """A balancer did not say who came."""


def is_balancer(address: str, balancers: Collection[IPv4Network | IPv6Network]) -> bool:
    if not balancers:
        return False
    found = ip_address(address.partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in balancers)


async def announced(connection: socket.socket, *, within_s: float) -> Address | None:
    """Read the line and nothing behind it; None: the balancer itself asks.

    Raises:
        NotAnnounced: this is no such line, or it did not come in time.
    """
    try:
        async with asyncio.timeout(within_s):
            return _told(await _line(connection))
    except TimeoutError as error:
        raise NotAnnounced("the line did not come in time") from error


async def _line(connection: socket.socket) -> bytes:
    # What follows the line is TLS and not ours, so it is looked at before it is taken. Each
    # look waits for bytes; a line in two parts, which hardly is, is waited for by the clock.
    seen = b""
    while True:
        await _readable(connection)
        before, seen = seen, connection.recv(LONGEST, socket.MSG_PEEK)
        line, end, _ = seen.partition(b"\r\n")
        if end:
            connection.recv(len(line) + len(end))
            return line
        if seen == before and seen:
            await asyncio.sleep(_LOOK_EVERY_S)
        if not seen or len(seen) == LONGEST or not _may_begin(seen):
            raise NotAnnounced("a balancer must say who came: PROXY TCP4 ...")


def _may_begin(seen: bytes) -> bool:
    return seen.startswith(_BEGIN) or _BEGIN.startswith(seen)


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def is_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(connection, is_ready)
    try:
        await ready
    finally:
        loop.remove_reader(connection)


def _told(line: bytes) -> Address | None:
    try:
        words = line.decode("ascii").split(" ")
        if words[1] == "UNKNOWN":
            return None
        _, family, source, _, port, _ = words
        address = ip_address(source)
        if family != f"TCP{address.version}" or not 0 <= int(port) <= 65535:
            raise ValueError(family)
    except (ValueError, IndexError) as error:
        raise NotAnnounced("this PROXY line cannot be read") from error
    return str(address), int(port)
