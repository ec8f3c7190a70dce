"""The command line's way to a server: one request per operation, over TLS that is verified."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from patchtide.domain.errors import PatchtideError
from patchtide.server.table import Operation

_ANSWER_LIMIT = 64 << 20


class Misconfigured(PatchtideError):
    """PATCHTIDE_URL, PATCHTIDE_TOKEN or PATCHTIDE_CA cannot be used."""

    code = "misconfigured"


class Unreachable(PatchtideError):
    """The server cannot be reached."""

    code = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes

    @property
    def is_done(self) -> bool:
        return 200 <= self.status < 300


class Client:
    """Asks one server, with one token."""

    def __init__(self, url: str, *, token: str = "", ca: Path | None = None) -> None:
        self._url = _checked(url)
        self._token = token
        self._context = _context(ca)
        self._pool = urllib3.PoolManager(
            num_pools=1,
            retries=False,
            timeout=urllib3.Timeout(connect=5, read=60),
            ssl_context=self._context,
        )

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Client:
        """Return the client that the environment describes.

        Raises:
            Misconfigured: it describes none.
        """
        url = environment.get("PATCHTIDE_URL", "")
        if not url:
            raise Misconfigured("set PATCHTIDE_URL, for example https://patchtide.example:8540")
        ca = environment.get("PATCHTIDE_CA", "")
        token = environment.get("PATCHTIDE_TOKEN", "").strip()
        return cls(url, token=token, ca=Path(ca) if ca else None)

    def close(self) -> None:
        """Hang up: a server that ends waits a while for those who are on the line."""
        self._pool.clear()

    @property
    def url(self) -> str:
        return self._url

    @property
    def context(self) -> ssl.SSLContext:
        """What verifies that the server is the one that was asked for."""
        return self._context

    def send(self, operation: Operation, values: Mapping[str, Any], file: IO[bytes]) -> Answer:
        """Perform an operation that takes a file: what is left of it to be read.

        Raises:
            Unreachable: no answer came, or from somebody who is not the server.
        """
        target, _ = request_of(operation, values)
        left = os.fstat(file.fileno()).st_size - file.tell()
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(left)}
        return self._asked(operation, target, file, headers)

    def ask(self, operation: Operation, values: Mapping[str, Any]) -> Answer:
        """Perform the operation on the server.

        Raises:
            Unreachable: no answer came, or from somebody who is not the server.
        """
        target, body = request_of(operation, values)
        headers = {"Content-Type": "application/json"} if body else {}
        return self._asked(operation, target, body, headers)

    def _asked(
        self,
        operation: Operation,
        target: str,
        body: bytes | IO[bytes] | None,
        headers: Mapping[str, str],
    ) -> Answer:
        headers = {"Accept": "application/json", **headers}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            answer = self._pool.request(
                operation.method, self._url + target, body=body, headers=headers, redirect=False
            )
        except HTTPError as error:
            raise Unreachable(f"{self._url}: {error}") from error
        return Answer(status=answer.status, body=answer.data[:_ANSWER_LIMIT])


def request_of(operation: Operation, values: Mapping[str, Any]) -> tuple[str, bytes | None]:
    """Return the address with its query, and the body."""
    plain: dict[str, Any] = msgspec.to_builtins(dict(values))
    path = operation.path
    for name in operation.parameters:
        path = path.replace(f"{{{name}}}", quote(str(plain.pop(name)), safe=""))
    if operation.asks_in_address:
        return (f"{path}?{urlencode(plain)}" if plain else path), None
    return path, msgspec.json.encode(plain) if plain else None


def _checked(url: str) -> str:
    parts = urlsplit(url)
    # A token never travels in the clear, not even to this machine itself.
    if parts.scheme != "https" or not parts.hostname:
        raise Misconfigured(f"PATCHTIDE_URL must begin with https://, not {url!r}")
    return url.rstrip("/")


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except OSError as error:
        raise Misconfigured(f"PATCHTIDE_CA {ca} cannot be read: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
