"""One GET over verified TLS, that a slow or silent server cannot hold up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Url, parse_url

from patchtide.adapters.transport.lines import Lines
from patchtide.agent.ports.web import Reply, TransferFailed

_RANGE = re.compile(r"bytes (?P<start>[0-9]{1,15})-[0-9]{1,15}/(?:[0-9]{1,15}|\*)")
_LENGTH = re.compile(r"[0-9]{1,15}")


class HttpsGetter:
    """GETs from https addresses over `lines`, one after the other; no other address."""

    scheme = "https"

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    @contextmanager
    def get(self, url: str, *, offset: int = 0, total_s: float, stall_s: float) -> Iterator[Reply]:
        address = self._address(url)
        headers = {"range": f"bytes={offset}-"} if offset else {}
        with self._lines.borrowed(
            address.host or "", address.port, total_s=total_s, stall_s=stall_s
        ) as line:
            response = line.ask("GET", address.request_uri, headers=headers)
            yield Reply(
                status=response.status,
                length=_length(response),
                start=_start(response),
                chunks=line.chunks(response),
            )

    def _address(self, url: str) -> Url:
        try:
            address = parse_url(url)
        except HTTPError as error:
            raise TransferFailed(f"{url} is no address") from error
        if address.scheme != self.scheme or not address.host:
            raise TransferFailed(f"{url} is no {self.scheme} address")
        return address


def _length(response: BaseHTTPResponse) -> int | None:
    value = response.headers.get("content-length", "")
    return int(value) if _LENGTH.fullmatch(value) else None


def _start(response: BaseHTTPResponse) -> int:
    match = _RANGE.fullmatch(response.headers.get("content-range", ""))
    return int(match["start"]) if response.status == 206 and match else 0
