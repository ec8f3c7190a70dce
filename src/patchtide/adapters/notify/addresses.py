"""Where messages may go, looked up once: the address that was checked is the one spoken to."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address

from patchtide.domain.access.addresses import Address, plain
from patchtide.server.ports.notifying import DeliveryFailed, Step

Resolve = Callable[[str, int], Iterable[str]]


def looked_up(host: str, port: int) -> Iterable[str]:
    return [str(place[0]) for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def place_of(host: str, port: int, *, may: Callable[[Address], bool], resolve: Resolve) -> str:
    """Return the address to speak to; all that the name stands for must be fit for it.

    Raises:
        DeliveryFailed: it has none, or leads where nothing is told.
    """
    try:
        found = [plain(ip_address(text.partition("%")[0])) for text in resolve(host, port)]
    except (OSError, ValueError) as error:
        raise DeliveryFailed(Step.NAME, f"{host}: {error}") from error
    if not found:
        raise DeliveryFailed(Step.NAME, f"{host}: the name has no address")
    for place in found:
        if not may(place):
            raise DeliveryFailed(
                Step.NAME,
                f"{host} leads to {place}, which is inside; --notify-networks may let it",
            )
    return str(found[0])
