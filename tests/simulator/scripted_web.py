"""A web server on this machine that answers each path as a test says, else from a folder."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

Answering = Callable[[BaseHTTPRequestHandler], None]


class ScriptedWeb:
    """Answers paths by `paths`, and all others with what lies in the folder."""

    def __init__(self, folder: Path | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.paths: dict[str, Answering] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        here = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                here.asked.append((self.path, dict(self.headers)))
                answer = here.paths.get(self.path) or _from(folder, self.path)
                answer(self)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self.address = f"https://localhost:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> ScriptedWeb:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _from(folder: Path | None, path: str) -> Answering:
    file = folder / path.lstrip("/") if folder else None
    return _file(file.read_bytes()) if file and file.is_file() else says(b"", 404)


def _file(body: bytes) -> Answering:
    """As web servers do it: what the asker has already is not sent again."""
    etag = f'"{sha256(body).hexdigest()}"'

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("If-None-Match") == etag:
            says(b"", 304, ETag=etag)(handler)
        else:
            says(body, ETag=etag, Content_Length=str(len(body)))(handler)

    return answer


def says(body: bytes, status: int = 200, **headers: str) -> Answering:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(bytes(1 << 16))
    except OSError:
        return
