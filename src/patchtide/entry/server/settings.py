"""The server's settings, declared once: name, type, default, sentence.

The flag, the environment variable, `--help` and the reference page derive from the table. An
unknown variable that starts with PATCHTIDE_SERVER_ stops the start.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from patchtide.adapters.feeds.errors import FeedUnreachable
from patchtide.adapters.feeds.proxy import read_proxy
from patchtide.adapters.notify.mail import Relay, read_account
from patchtide.domain.access.addresses import Network
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.entry.server.feeds_together import checked_feeds
from patchtide.server.ports.notifying import DeliveryFailed

PREFIX = "PATCHTIDE_SERVER_"


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _reached_at(text: str) -> tuple[str, ...]:
    names = _names(text)
    for name in names:
        host, port = _split(name)
        if not host or (port and not 1 <= _port(port) <= 65535):
            raise ValueError(f"{name} is neither a name nor NAME:PORT")
    return names


def _split(name: str) -> tuple[str, str]:
    """Return host and port, if there is one; an IPv6 address with a port stands in brackets."""
    if name.startswith("["):
        host, _, rest = name[1:].partition("]")
        return host, rest.removeprefix(":")
    if name.count(":") == 1:
        host, _, port = name.partition(":")
        return host, port
    return name, ""


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(part) for part in _names(text))


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part).absolute() for part in _names(text))


def _proxy(text: str) -> str:
    return read_proxy(text).address if text else ""


def _account(text: str) -> Path | None:
    if not text:
        return None
    path = Path(text).absolute()
    try:
        read_proxy("http://proxy", path)
    except FeedUnreachable as error:
        raise ValueError(str(error)) from error
    return path


def _hosts(text: str) -> tuple[str, ...]:
    found = _names(text)
    read_proxy("http://proxy", direct=found)
    return found


def _relay(text: str) -> str:
    if text:
        Relay.read(text)
    return text


def _mail_account(text: str) -> Path | None:
    if not text:
        return None
    path = Path(text).absolute()
    try:
        read_account(path)
    except DeliveryFailed as error:
        raise ValueError(str(error)) from error
    return path


def _file(text: str) -> Path | None:
    if not text:
        return None
    path = Path(text).absolute()
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError("a port is 0 to 65535")
    return port


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("must be at least 1")
    return number


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    default: str
    parse: Callable[[str], Any]
    help: str

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        return f"{PREFIX}{self.name.upper()}"


SETTINGS = (
    Setting("home", "var/patchtide", Path, "Folder of keys, database and content; made 0700"),
    Setting("host", "0.0.0.0", str, "Address to listen on"),  # noqa: S104 - machines must reach it
    Setting("port", "8540", _port, "TLS port of agents and administrators; 0 picks a free one"),
    Setting(
        "names",
        "",
        _reached_at,
        "Names and addresses by which machines reach this server, commas; NAME:PORT behind a "
        "balancer that listens on a port other than this server's and 443",
    ),
    Setting(
        "balancers",
        "",
        _networks,
        "Addresses and networks of balancers, commas; they must say who came in a PROXY line",
    ),
    Setting("site", "main", str, "Name of the site"),
    Setting("database", "", str, "sqlite:///PATH or postgresql://...; SQLite in the home if empty"),
    Setting("agents_database", "", str, "PostgreSQL address of the role without DDL for reports"),
    Setting(
        "feed",
        "",
        checked_feeds,
        "Where updates come from: apt, rpm, apt:FOLDER, rpm:FOLDER, imported, with commas",
    ),
    Setting(
        "advisories",
        "",
        _paths,
        "OSV and CSAF documents that say more of updates: files, folders, zip archives, commas",
    ),
    Setting(
        "proxy",
        "",
        _proxy,
        "Proxy that feeds are fetched through, as http://HOST:PORT; apt's own one if empty",
    ),
    Setting("proxy_account", "", _account, "File of USER:PASSWORD for the proxy, nobody else's"),
    Setting("proxy_direct", "", _hosts, "Hosts that are asked without the proxy, commas"),
    Setting("smtp", "", _relay, "Relay for e-mail, as smtp://HOST:587 (STARTTLS) or smtps://HOST"),
    Setting("smtp_account", "", _mail_account, "File of USER:PASSWORD for it, nobody else's"),
    Setting("mail_from", "", str, "Who e-mail is from; patchtide@ and the first name if empty"),
    Setting("notify_networks", "", _networks, "Networks inside that webhooks may be in, commas"),
    Setting("notify_ca", "", _file, "Authorities, PEM, of relay and webhooks besides the system's"),
    Setting(
        "expired_days",
        "7",
        _positive,
        "Days that an expired update stays, or while something names it",
    ),
    Setting(
        "poll_s",
        "3600",
        _positive,
        "Seconds between two check-ins of a machine, unless the site sets another",
    ),
    Setting("events", "20000", _positive, "Machines that may hold an event connection to a node"),
    Setting("calls_per_s", "1", _positive, "Requests a machine may make a second, in the long run"),
    Setting("burst", "30", _positive, "Requests a machine may make at once"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    home: Path
    host: str
    port: int
    names: tuple[str, ...]
    balancers: tuple[Network, ...]
    site: str
    database: str
    agents_database: str
    feed: tuple[str, ...]
    advisories: tuple[Path, ...]
    proxy: str
    proxy_account: Path | None
    proxy_direct: tuple[str, ...]
    smtp: str
    smtp_account: Path | None
    mail_from: str
    notify_networks: tuple[Network, ...]
    notify_ca: Path | None
    expired_days: int
    poll_s: int
    events: int
    calls_per_s: int
    burst: int

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.home.absolute() / 'patchtide.db'}"

    @property
    def served_names(self) -> tuple[str, ...]:
        """Return every name in the certificate: what was set, and this machine's own."""
        own = (socket.gethostname(), "localhost", "127.0.0.1", "::1")
        return tuple(dict.fromkeys((*(_split(name)[0] for name in self.names), *own)))

    def authority(self, port: int) -> str:
        """Return the name, with its port, under which people reach the console first of all."""
        if self.names and _split(self.names[0])[1]:
            return self.names[0]
        name = self.served_names[0]
        return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"

    def authorities(self, port: int) -> tuple[str, ...]:
        """Return what requests may name as the server they are meant for, most wanted first."""
        hosts = [f"[{name}]" if ":" in name else name for name in self.served_names]
        with_ports = [name for name in self.names if _split(name)[1]]
        return tuple(dict.fromkeys((*with_ports, *(f"{h}:{port}" for h in hosts), *hosts)))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="patchtide serve",
        description="Serve a site: agents and administrators, on TLS.",
        epilog="Example: patchtide serve --home /srv/patchtide --names updates.example.org",
    )
    for setting in SETTINGS:
        default = f"default: {setting.default}" if setting.default else "default: none"
        made.add_argument(
            setting.flag, default=None, help=f"{setting.help} ({setting.variable}; {default})"
        )
    return made


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> ServerSettings:
    """Return the settings: a flag wins over its variable, that over the default.

    Raises:
        InvalidDocument: with every setting that is wrong or unknown.
    """
    given = vars(parser().parse_args(arguments))
    known = {setting.variable for setting in SETTINGS}
    strange = sorted(n for n in environment if n.startswith(PREFIX) and n not in known)
    problems = [Problem(name, "is no setting") for name in strange]
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text = given[setting.name]
        where = setting.flag
        if text is None:
            text, where = environment.get(setting.variable, setting.default), setting.variable
        try:
            values[setting.name] = setting.parse(text)
        except ValueError as error:
            problems.append(Problem(where, str(error)))
    if problems:
        raise InvalidDocument(problems)
    return ServerSettings(**values)
