"""The proxy that a site's feeds are fetched through, and the account shown to it (CAT-13).

Its secret lies in a file that nobody else may read. It is read anew each time a feed is, so that
it is in no database, no argument and no setting; and nothing here ever prints it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, urlsplit

from patchtide.adapters.feeds.errors import FeedUnreachable
from patchtide.server.ports.feed import Step

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,250}[A-Za-z0-9])?", re.ASCII)
_HERE = ("localhost", "127.0.0.1")
_LINE = re.compile(r"[^:\x00-\x1f\x7f]{1,256}:[^\x00-\x1f\x7f]{0,1024}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """`direct` are the hosts that are asked without it; this very machine always is."""

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    direct: frozenset[str] = frozenset()

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def is_for(self, host: str) -> bool:
        """Say whether a host is asked through it. No proxy leads to what only this machine sees."""
        return host.lower() not in self.direct and not _is_here(host)

    def apt_lines(self) -> str:
        """Return what makes apt go the same way, whatever the machine's own apt is told."""
        account = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@"
        _, _, place = self.address.partition("//")
        way = f"{self.scheme}://{account if self.user else ''}{place}/"
        lines = [
            f'Acquire::{kind}::{name} "{said}";'
            for kind in ("http", "https")
            for name, said in (
                ("Proxy-Auto-Detect", ""),
                ("ProxyAutoDetect", ""),
                ("Proxy", way),
                *((f"Proxy::{host}", "DIRECT") for host in sorted({*self.direct, *_HERE})),
            )
        ]
        return "\n".join(lines) + "\n"


def read_proxy(address: str, account: Path | None = None, direct: Iterable[str] = ()) -> Proxy:
    """Return the proxy of an address `http://HOST:PORT`; `account` is a file of `USER:PASSWORD`.

    Raises:
        ValueError: it is no such address, or a host is none.
        FeedUnreachable: the file cannot be read, is another thing, or others may read it.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("an address of a proxy, as http://proxy.example:3128")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("an account does not belong into the address, but into a file of its own")
    named = [host for host in (parts.hostname, *direct) if not _is_address(host)]
    if strange := [host for host in named if not _HOST.fullmatch(host)]:
        raise ValueError(f"{strange[0]!r} is no host")
    user, password = _account(account) if account else ("", "")
    return Proxy(
        scheme=parts.scheme,
        host=parts.hostname,
        port=parts.port or (443 if parts.scheme == "https" else 3128),
        user=user,
        password=password,
        direct=frozenset(host.lower() for host in direct),
    )


def _account(path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid not in (0, os.geteuid()):
                raise _unusable(f"others may read {path}: chmod 600 it, and let it be the server's")
            text = file.read(4096).decode("utf-8", "replace").strip("\r\n")
    except OSError as error:
        raise _unusable(f"{path}: {error.strerror}") from error
    if not _LINE.fullmatch(text):
        raise _unusable(f"{path} is not one line of USER:PASSWORD")
    user, _, password = text.partition(":")
    return user, password


def _unusable(why: str) -> FeedUnreachable:
    return FeedUnreachable(f"the proxy's account: {why}", step=Step.ACCOUNT)


def _is_address(host: str) -> bool:
    try:
        return not getattr(ip_address(host), "scope_id", None)
    except ValueError:
        return False


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".").split(".")[-1] == "localhost"
