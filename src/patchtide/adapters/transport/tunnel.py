"""A connection through a proxy: HTTP CONNECT, and from then on as if there were none.

What comes back of the proxy decides nothing but whether the tunnel stands: TLS begins inside of it,
with the server itself. Loads next to nothing, since the process that holds the event line does so.
"""

from __future__ import annotations

import base64
import re
import socket
import time
from typing import NamedTuple

CONNECT_S = 10.0
"""A proxy that is there answers within that: whoever waits has another way to try."""
ANSWER_LIMIT = 16 << 10
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?")


class ProxyFailed(OSError):
    """The proxy is not there, or does not let this machine through; its address is named."""


class Via(NamedTuple):
    host: str
    port: int
    account: str = ""
    """USER:PASSWORD, or empty."""

    def __repr__(self) -> str:
        return f"Via({self.address})"

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def tunnelled(via: Via, host: str, port: int) -> socket.socket:
    """Return a connection to that host, through the proxy.

    Raises:
        ProxyFailed
    """
    end = time.monotonic() + CONNECT_S
    try:
        line = socket.create_connection((via.host, via.port), timeout=CONNECT_S)
    except OSError as error:
        raise ProxyFailed(f"proxy {via.address}: {error}") from error
    try:
        line.sendall(_asked(via, host, port))
        _check(via, _head(line, end))
        line.settimeout(None)
    except OSError as error:
        line.close()
        if isinstance(error, ProxyFailed):
            raise
        raise ProxyFailed(f"proxy {via.address}: {error}") from error
    return line


def _asked(via: Via, host: str, port: int) -> bytes:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if via.account:
        shown = base64.b64encode(via.account.encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {shown}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _head(line: socket.socket, end: float) -> bytes:
    """Read the answer's head and not a byte more: what follows is the server's."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        left = end - time.monotonic()
        if left <= 0 or len(head) >= ANSWER_LIMIT:
            raise ProxyFailed("no answer that is to be understood")
        line.settimeout(left)
        # A proxy may send what the server says right behind it.
        waiting = line.recv(4096, socket.MSG_PEEK)
        if not waiting:
            raise ProxyFailed("hung up")
        stop = (head[-3:] + waiting).find(b"\r\n\r\n")
        size = stop + 4 - len(head[-3:]) if stop >= 0 else len(waiting)
        head += line.recv(size)
    return head


def _check(via: Via, head: bytes) -> None:
    found = _STATUS.match(head)
    if found is None:
        raise ProxyFailed(f"proxy {via.address}: answers nonsense")
    status, reason = int(found[1]), (found[2] or b"").decode("ascii", "replace")[:80]
    if status == 407:
        raise ProxyFailed(f"proxy {via.address}: 407, it wants another account")
    if not 200 <= status < 300:
        said = "".join(c for c in reason if c.isprintable())
        raise ProxyFailed(f"proxy {via.address}: {status} {said}".rstrip())
