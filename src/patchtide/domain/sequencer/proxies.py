"""The proxy by which agents reach their server: an address, perhaps an account, and exceptions.

It tunnels (HTTP CONNECT) and sees nothing of what goes through: TLS goes on to the server itself,
verified as without a proxy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from patchtide.domain.errors import InvalidDocument, Problem

DEFAULT_PORT = 3128
MOST_DIRECT = 64
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,250}[A-Za-z0-9])?", re.ASCII)
_USER = re.compile(r"[^:\x00-\x1f\x7f]{0,256}")
_PASSWORD = re.compile(r"[^\x00-\x1f\x7f]{0,256}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    direct: tuple[str, ...] = ()
    """Hosts that are reached without it; `.example.org` is every host of that name."""

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def is_for(self, host: str) -> bool:
        name = host.lower().rstrip(".")
        domains = tuple(one for one in self.direct if one.startswith("."))
        return name not in self.direct and not name.endswith(domains)


def proxy_of(
    address: str, *, user: str = "", password: str = "", direct: Iterable[str] = ()
) -> Proxy:
    """Return the proxy of an address `http://HOST:PORT`.

    Raises:
        InvalidDocument: with every mistake in it.
    """
    exceptions = tuple(dict.fromkeys(host.lower().rstrip(".") for host in direct))
    if problems := list(_problems(address, user, password, exceptions)):
        raise InvalidDocument(problems)
    parts = urlsplit(address)
    return Proxy(
        host=parts.hostname or "",
        port=parts.port or DEFAULT_PORT,
        user=user,
        password=password,
        direct=exceptions,
    )


def _problems(address: str, user: str, password: str, direct: tuple[str, ...]) -> Iterator[Problem]:
    if not _is_proxy(address):
        yield Problem("proxy", "is an address as http://proxy.example.org:3128, without an account")
    if not _USER.fullmatch(user) or not _PASSWORD.fullmatch(password):
        yield Problem("proxy_user", "and password are of one line, the user without a colon")
    if password and not user:
        yield Problem("proxy_user", "is missing, for there is a password")
    strange = [host for host in direct if not is_host(host.removeprefix("."))]
    if strange or len(direct) > MOST_DIRECT:
        said = f"{strange[0]!r} is none" if strange else f"and not over {MOST_DIRECT}"
        yield Problem("proxy_direct", f"are hosts, as intern.example.org or .example.org: {said}")


def _is_proxy(address: str) -> bool:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return False
    return (
        # A blank or a line break would be passed over where the address is read.
        address.isprintable()
        and " " not in address
        and parts.scheme == "http"
        and is_host(parts.hostname or "")
        and "@" not in parts.netloc
        and port != 0
        and parts.path in ("", "/")
        and not (parts.query or parts.fragment)
    )


def is_host(text: str) -> bool:
    try:
        return not getattr(ip_address(text), "scope_id", None)
    except ValueError:
        return _HOST.fullmatch(text) is not None
