"""A small real proxy on this machine: it tunnels (CONNECT), and forwards what is asked in the open.

It knows names that nobody else does: `names` maps a host to a port of this machine.
"""

from __future__ import annotations

import base64
import http.client
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit


class ConnectProxy:
    """`asked` holds the method, the target and the account of every request, in order."""

    def __init__(
        self, names: Mapping[str, int], *, account: str = "", refuses: int | None = None
    ) -> None:
        self.asked: list[tuple[str, str, str]] = []
        here = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_CONNECT(self) -> None:
                if self._is_let_in() and (port := names.get(self.path.rpartition(":")[0])):
                    self.send_response(200)
                    self.end_headers()
                    self._tunnel(port)

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if not (self._is_let_in() and (port := names.get(parts.hostname or ""))):
                    return
                line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                line.request("GET", parts.path, headers={"Host": parts.netloc})
                answer = line.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(body)))
                if location := answer.getheader("Location"):
                    self.send_header("Location", location)
                self.end_headers()
                self.wfile.write(body)
                line.close()

            def _is_let_in(self) -> bool:
                _, _, said = self.headers.get("Proxy-Authorization", "").partition(" ")
                shown = base64.b64decode(said).decode()
                here.asked.append((self.command, self.path, shown))
                host = urlsplit(self.path).hostname or self.path.rpartition(":")[0]
                status = refuses or (407 if shown != account else 0 if host in names else 502)
                if not status:
                    return True
                self.send_response(status)
                self.send_header("Content-Length", "0")
                if status == 407:
                    self.send_header("Proxy-Authenticate", 'Basic realm="toys"')
                self.end_headers()
                return False

            def _tunnel(self, port: int) -> None:
                self.close_connection = True
                with socket.create_connection(("127.0.0.1", port), timeout=30) as server:
                    back = threading.Thread(
                        target=_pour, args=(server, self.connection), daemon=True
                    )
                    back.start()
                    _pour(self.connection, server)
                    back.join(5)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> ConnectProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _pour(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(1 << 16):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
