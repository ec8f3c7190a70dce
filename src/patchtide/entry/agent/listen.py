"""Holds the event line: one TLS connection, next to nothing else in memory, for days.

Reads what `knock` made as one line on standard input, asks, and writes one byte on standard
output whenever the server has news, whatever it says they are: a check-in finds out. Ends when the
line ends, when it is silent for too long, or when whoever started it is gone. Loads only what TLS
needs, so that it and the loop together stay small.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import ssl
import sys

CONNECT_S = 30.0
SILENT_S = 900.0
"""The server says something every few minutes, if only that it is there."""
HEAD_LIMIT = 16 << 10
ENDED, REFUSED, BUSY = 0, 1, 75
_NEWS = b"!"


def main() -> int:
    told = json.loads(sys.stdin.buffer.readline() or b"null")
    if told is None:
        return REFUSED
    try:
        ca, via = base64.b64decode(told["ca"]), told.get("via")
        falls_back = bool(told.get("falls_back"))
        with _line(told["host"], told["port"], ca, via=via, falls_back=falls_back) as line:
            line.sendall(told["request"].encode("ascii"))
            head, rest = _head(line)
            if not head.startswith(b"HTTP/1.1 200 "):
                return BUSY if head.startswith(b"HTTP/1.1 503 ") else REFUSED
            os.write(1, b".")  # it stands
            _pass_on(rest)
            return _listen(line)
    except OSError as error:
        sys.stderr.write(f"the event line: {error}\n")
        return REFUSED


def _line(
    host: str, port: int, ca: bytes, *, via: tuple[str, int, str] | None, falls_back: bool
) -> ssl.SSLSocket:
    """Connect through the proxy, if one was named; without it where it is not the only way."""
    if via is not None:
        try:
            return _connected(host, port, ca, via)
        except OSError:
            if not falls_back:
                raise
    return _connected(host, port, ca, None)


def _connected(host: str, port: int, ca: bytes, via: tuple[str, int, str] | None) -> ssl.SSLSocket:
    """Verified against the site's CA alone, as every connection of the agent's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=ca)
    if via is None:
        plain = socket.create_connection((host, port), timeout=CONNECT_S)
    else:
        # Only where there is a proxy: most processes of this kind never need to know how.
        from patchtide.adapters.transport.tunnel import Via, tunnelled

        plain = tunnelled(Via(*via), host, port)
        plain.settimeout(CONNECT_S)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except OSError:
        plain.close()
        raise


def _head(line: ssl.SSLSocket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data and len(data) < HEAD_LIMIT:
        piece = line.recv(4096)
        if not piece:
            break
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _listen(line: ssl.SSLSocket) -> int:
    parent = sys.stdin.fileno()
    while True:
        ready = [line] if line.pending() else select.select([line, parent], [], [], SILENT_S)[0]
        if not ready or parent in ready:
            return ENDED
        try:
            piece = line.recv(4096)
        except TimeoutError:  # the rest of a record is under way, or the line is dead: see above
            continue
        if not piece:
            return ENDED
        _pass_on(piece)


def _pass_on(piece: bytes) -> None:
    """Blank lines only say that the line is alive."""
    if piece.strip():
        os.write(1, _NEWS)


if __name__ == "__main__":
    sys.exit(main())
