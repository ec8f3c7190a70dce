"""Fetches what a repository offers, from where its owner said and nowhere else (S27).

Whoever writes the sources may name any host, also one inside; whoever answers may not: what a
redirect leads to is a public address, or one of those that were named. The address that was
looked at is the one that is spoken to, so a name that changes its mind changes nothing.

A proxy looks names up by itself. What a name stands for here must be fit all the same, and this
very machine is never asked through it. Of a name that only the proxy knows, the proxy has the word
if the sources name it; nobody is led there.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import urllib3
from urllib3.exceptions import HTTPError

from patchtide.adapters.feeds.errors import FeedDamaged, FeedUnreachable
from patchtide.adapters.feeds.failures import failed
from patchtide.adapters.feeds.proxy import Proxy
from patchtide.domain.access.addresses import Address, may_be_asked, plain
from patchtide.server.ports.feed import Step

Resolve = Callable[[str, int], Iterable[str]]
Origin = tuple[str, str, int]
_PORTS = {"https": 443, "http": 80}
_FROM_ANEW = frozenset({200, 206, 416})
"""Answers to a wish to go on that say, each in its way, that it does not."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
PIECE = 256 << 10
CONNECT_S, STALL_S, TOTAL_S = 15.0, 30.0, 900.0


def looked_up(host: str, port: int) -> Iterator[str]:
    for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        yield str(place[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What is shown to the named hosts, and to no others."""

    user: str = ""
    password: str = ""
    hosts: tuple[str, ...] | None = None
    """Addresses of those alone that are shown the password; None: of all that are named."""
    ca: Path | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None


@dataclass(frozen=True, slots=True)
class Validators:
    """By what a server knows whether there is anything newer."""

    etag: str = ""
    modified: str = ""

    @property
    def headers(self) -> dict[str, str]:
        said = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is None when there is nothing newer."""

    body: bytes | None
    validators: Validators = Validators()


class Web:
    """`named` are the addresses that the sources name."""

    def __init__(
        self,
        named: Iterable[str],
        account: Account | None = None,
        *,
        proxy: Proxy | None = None,
        resolve: Resolve = looked_up,
        total_s: float = TOTAL_S,
        stall_s: float = STALL_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._named = {_origin(address) for address in named}
        self._account = account or Account()
        hosts = self._account.hosts
        self._known = self._named if hosts is None else {_origin(address) for address in hosts}
        self._proxy = proxy
        self._resolve = resolve
        self._total_s = total_s
        self._stall_s = stall_s
        self._monotonic = monotonic

    def get(self, address: str, *, most: int, known: Validators | None = None) -> Answer:
        """Return a document of at most `most` bytes, or word that it is the known one.

        Raises:
            FeedUnreachable: it cannot be had, or not from there.
            FeedDamaged: it is larger.
        """
        with self._opened(address, (known or Validators()).headers) as reply:
            if reply.status == 304 and known is not None:
                return Answer(None, known)
            _require(reply, 200, address)
            body = bytearray()
            for piece in self._pieces(reply, address):
                body += piece
                if len(body) > most:
                    raise FeedDamaged(f"{shown(address)} has no end: more than {most} bytes came")
            said = Validators(reply.headers.get("ETag", ""), reply.headers.get("Last-Modified", ""))
            return Answer(bytes(body), said)

    def continue_file(self, address: str, path: Path, *, size: int) -> None:
        """Append to the file what it lacks of `size` bytes; a break leaves what has come.

        Raises:
            FeedUnreachable: it cannot be had, or not from there.
            FeedDamaged: there is more of it, or less.
        """
        with path.open("ab") as file:
            have = file.tell()
            headers = {"Range": f"bytes={have}-"} if have else {}
            with self._opened(address, headers) as reply:
                if have and not _goes_on(reply, have) and reply.status in _FROM_ANEW:
                    os.ftruncate(file.fileno(), 0)
                    have = 0
                    if reply.status == 416:
                        raise FeedUnreachable(f"{shown(address)} is not what it was; from anew")
                _require(reply, 206 if have else 200, address)
                for piece in self._pieces(reply, address):
                    have += len(piece)
                    if have > size:
                        raise FeedDamaged(f"{shown(address)} is more than the {size} bytes it is")
                    file.write(piece)
            if have < size:
                raise FeedUnreachable(f"{shown(address)} ended after {have} of {size} bytes")

    def _pieces(self, reply: urllib3.BaseHTTPResponse, address: str) -> Iterator[bytes]:
        ends = self._monotonic() + self._total_s
        try:
            # What has come, and not a whole piece: one may come by the byte for ever.
            while piece := reply.read1(PIECE, decode_content=False):
                yield piece
                if self._monotonic() > ends:
                    raise FeedUnreachable(f"{shown(address)} takes longer than {self._total_s} s")
        except (HTTPError, OSError) as error:
            raise failed(shown(address), error) from error

    @contextmanager
    def _opened(
        self, address: str, headers: Mapping[str, str]
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        first = _origin(address)[0]
        for _ in range(MAX_REDIRECTS + 1):
            close, reply = self._ask(address, headers)
            try:
                if reply.status not in _REDIRECTS:
                    yield reply
                    return
                address = _led(address, reply.headers.get("Location", ""))
            finally:
                reply.close()
                close()
            if first == "https" and _origin(address)[0] != "https":
                raise FeedUnreachable(f"it leads to {shown(address)}, which is not https any more")
        raise FeedUnreachable(f"{shown(address)}: more than {MAX_REDIRECTS} redirects")

    def _ask(
        self, address: str, headers: Mapping[str, str]
    ) -> tuple[Callable[[], None], urllib3.BaseHTTPResponse]:
        scheme, host, port = origin = _origin(address)
        parts = urlsplit(address)
        is_named = origin in self._named
        sent = {"Host": parts.netloc.rpartition("@")[2], "Accept-Encoding": "identity", **headers}
        if origin in self._known and self._account.user and scheme == "https":
            account = f"{self._account.user}:{self._account.password}"
            sent |= urllib3.make_headers(basic_auth=account)
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (
            f"?{parts.query}" if parts.query else ""
        )
        pool: urllib3.HTTPConnectionPool | urllib3.ProxyManager
        if self._proxy is not None and self._proxy.is_for(host):
            self._require_fit(host, port, is_named=is_named, address=address)
            pool = self._pool_through(self._proxy, is_named=is_named)
            target = f"{scheme}://{sent['Host']}{target}"
            close = pool.clear
        else:
            place = self._place(host, port, is_named=is_named, address=address)
            pool = self._pool(scheme, host, place, port, is_named=is_named)
            close = pool.close
        try:
            reply = pool.urlopen(
                "GET", target, headers=sent, redirect=False, retries=False, preload_content=False
            )
        except (HTTPError, OSError, ValueError) as error:  # there are addresses no request can name
            close()
            raise failed(shown(address), error) from error
        return close, reply

    def _pool_through(self, proxy: Proxy, *, is_named: bool) -> urllib3.ProxyManager:
        account = f"{proxy.user}:{proxy.password}"
        return urllib3.ProxyManager(
            proxy.address,
            num_pools=1,
            timeout=urllib3.Timeout(connect=CONNECT_S, read=self._stall_s),
            proxy_headers=urllib3.make_headers(proxy_basic_auth=account) if proxy.user else {},
            cert_reqs="CERT_REQUIRED",
            # A repository's own authority vouches for the repository, and for no proxy.
            proxy_ssl_context=ssl.create_default_context() if proxy.scheme == "https" else None,
            **self._shown_to(is_named=is_named),
        )

    def _shown_to(self, *, is_named: bool) -> dict[str, Any]:
        """Return whom a host must be vouched for by, and what it is shown: a named one alone."""
        shown_to = self._account if is_named else Account(ca=self._account.ca)
        return {
            "ca_certs": str(shown_to.ca) if shown_to.ca else None,
            "cert_file": str(shown_to.certificate) if shown_to.certificate else None,
            "key_file": str(shown_to.certificate_key) if shown_to.certificate_key else None,
        }

    def _pool(
        self, scheme: str, host: str, place: str, port: int, *, is_named: bool
    ) -> urllib3.HTTPConnectionPool:
        timeout = urllib3.Timeout(connect=CONNECT_S, read=self._stall_s)
        if scheme == "http":
            return urllib3.HTTPConnectionPool(place, port, timeout=timeout, retries=False)
        return urllib3.HTTPSConnectionPool(
            place,
            port,
            timeout=timeout,
            retries=False,
            cert_reqs="CERT_REQUIRED",
            server_hostname=host,
            **self._shown_to(is_named=is_named),
        )

    def _place(self, host: str, port: int, *, is_named: bool, address: str) -> str:
        """Return the address to speak to; all that the name stands for must be fit for it."""
        try:
            found = self._found(host, port)
        except (OSError, ValueError) as error:
            raise failed(shown(address), error, step=Step.NAME) from error
        if not found:
            raise FeedUnreachable(f"{shown(address)}: the name has no address", step=Step.NAME)
        self._require_all(found, host, is_named=is_named, address=address)
        return str(found[0])

    def _require_fit(self, host: str, port: int, *, is_named: bool, address: str) -> None:
        """Refuse what leads inside; a name that only the proxy knows must be one of those named."""
        try:
            found = self._found(host, port)
        except (OSError, ValueError) as error:
            if is_named:
                return
            raise FeedUnreachable(
                f"{shown(address)}: nobody named it, and the name is not known here",
                step=Step.NAME,
            ) from error
        self._require_all(found, host, is_named=is_named, address=address)

    def _found(self, host: str, port: int) -> list[Address]:
        return [plain(ip_address(text.partition("%")[0])) for text in self._resolve(host, port)]

    def _require_all(
        self, found: Iterable[Address], host: str, *, is_named: bool, address: str
    ) -> None:
        for place in found:
            if not may_be_asked(place, host, is_named=is_named):
                raise FeedUnreachable(
                    f"{shown(address)} leads to {place}, where no feed is asked", step=Step.NAME
                )


def shown(address: str) -> str:
    """Return the address as people may see it: without an account, a query or a fragment."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "an address that is none"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _led(address: str, location: str) -> str:
    """Return where a redirect leads, written however its server likes."""
    try:
        return urljoin(address, location)
    except ValueError as error:
        raise FeedUnreachable(f"{shown(address)} leads to no address") from error


def _origin(address: str) -> Origin:
    try:
        parts = urlsplit(address)
        usual = _PORTS[parts.scheme]
        port = parts.port or usual
    except (KeyError, ValueError) as error:
        raise FeedUnreachable(f"{shown(address)} is no https or http address") from error
    if not parts.hostname:
        raise FeedUnreachable(f"{shown(address)} names no host")
    return parts.scheme, parts.hostname, port


def _goes_on(reply: urllib3.BaseHTTPResponse, have: int) -> bool:
    return reply.status == 206 and reply.headers.get("Content-Range", "").startswith(
        f"bytes {have}-"
    )


def _require(reply: urllib3.BaseHTTPResponse, status: int, address: str) -> None:
    if reply.status == 407:
        raise FeedUnreachable(
            f"{shown(address)}: the proxy wants another account (407)", step=Step.ACCOUNT
        )
    if reply.status != status:
        step = Step.ACCOUNT if reply.status in (401, 403) else Step.STATUS
        raise FeedUnreachable(f"{shown(address)} answered {reply.status}", step=step)
