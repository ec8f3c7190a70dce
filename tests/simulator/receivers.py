"""A mail relay and a web server that take messages, over real TLS, in the test's own process."""

from __future__ import annotations

import base64
import contextlib
import http.server
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import trustme


@dataclass
class Received:
    """What came, and how it is answered."""

    mails: list[str] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    status: int = 204
    location: str = ""
    refuses_recipients: bool = False
    refuses_accounts: bool = False
    nobody: str = ""
    """Whom the relay does not know, as part of an address."""
    goodbye: str = "221 bye"
    offers_tls: bool = True
    drips: bool = False
    """Answers a byte now and then, and never a whole line."""
    port: int = 0


def drip(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(b"H")
            time.sleep(0.02)


class _Mail(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        if self.server.received.drips:
            drip(self.connection)
            return
        self.say("220 relay.example ESMTP")
        is_tls = False
        while line := self.rfile.readline():
            word = line.split()[0].upper().decode() if line.split() else ""
            if word == "EHLO":
                offers = self.server.received.offers_tls and not is_tls
                self.say(
                    "250-relay.example", *(["250-STARTTLS"] if offers else []), "250 AUTH PLAIN"
                )
            elif word == "STARTTLS":
                self.say("220 go on")
                self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
                self.rfile = self.connection.makefile("rb")
                is_tls = True
            elif word == "AUTH":
                told = base64.b64decode(line.split()[2]).decode().replace("\0", ":").strip(":")
                self.server.received.accounts.append(told)
                is_refused = self.server.received.refuses_accounts
                self.say("535 no" if is_refused else "235 welcome")
            elif word == "RCPT":
                received = self.server.received
                is_known = not received.nobody or received.nobody.encode() not in line
                is_taken = is_known and not received.refuses_recipients
                self.say("250 ok" if is_taken else "550 nobody")
            elif word == "DATA":
                self.say("354 go on")
                text = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    text += line
                self.server.received.mails.append(text.decode())
                self.say("250 taken")
            elif word == "QUIT":
                self.say(self.server.received.goodbye)
                return
            else:
                self.say("250 ok")

    def say(self, *lines: str) -> None:
        self.connection.sendall("".join(f"{line}\r\n" for line in lines).encode())


class _Web(http.server.BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        received = self.server.received
        body = self.rfile.read(int(self.headers["content-length"]))
        received.targets.append(self.path)
        received.requests.append(({k.lower(): v for k, v in self.headers.items()}, body))
        if received.drips:
            drip(self.connection)
            return
        self.send_response(received.status)
        if received.location:
            self.send_header("location", received.location)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return None


@contextlib.contextmanager
def mail_relay(ca: trustme.CA) -> Iterator[Received]:
    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mail), ca) as received:
        yield received


@contextlib.contextmanager
def web_receiver(ca: trustme.CA) -> Iterator[Received]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    with _serving(server, ca, is_tls=True) as received:
        yield received


@contextlib.contextmanager
def _serving(
    server: socketserver.TCPServer, ca: trustme.CA, *, is_tls: bool = False
) -> Iterator[Received]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("hooks.example", "localhost").configure_cert(tls)
    received = Received(port=server.server_address[1])
    server.received, server.tls = received, tls  # type: ignore[attr-defined]
    server.daemon_threads = True  # type: ignore[attr-defined]
    if is_tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
