"""By which way a server is reached: as it is, or through a proxy; and what when that fails.

A proxy that the site told of must never cut the machine off: where it does not work, be it away or
between the machine and its server, the machine goes without it until its work is done, and the next
time tries it again. One that was set on the machine itself is the only way: it may be meant so.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from patchtide.adapters.transport.tunnel import Via, tunnelled
from patchtide.domain.sequencer.proxies import Proxy


@dataclass(slots=True)
class Way:
    """One process's way; threads may share it."""

    proxy: Proxy | None = None
    falls_back: bool = False
    trouble: str = field(default="", init=False)
    """Why the proxy is not used any more; empty: it is, or there is none."""

    def via(self, host: str) -> Via | None:
        """Return what leads there; None: nothing has to."""
        if self.proxy is None or self.trouble or not self.proxy.is_for(host):
            return None
        return via_of(self.proxy)

    def give_up(self, why: str) -> bool:
        """Say whether there is another way, now that this one failed."""
        if self.falls_back and not self.trouble:
            self.trouble = why
            return True
        return False

    def connected(self, host: str, port: int, *, timeout: float) -> socket.socket:
        """Return a connection, by the proxy if one leads there.

        Raises:
            OSError
        """
        via = self.via(host)
        if via is None:
            return socket.create_connection((host, port), timeout=timeout)
        line = tunnelled(via, host, port)
        line.settimeout(timeout)
        return line


def via_of(proxy: Proxy) -> Via:
    account = f"{proxy.user}:{proxy.password}" if proxy.user else ""
    return Via(host=proxy.host, port=proxy.port, account=account)
