"""Where a browser reaches the site. A security key works under the name it was registered at only.

Browsers know no keys of addresses made of numbers, and the server none of names that are not its.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address


@dataclass(frozen=True, slots=True)
class Place:
    """A name of the site, and the origin that a browser says it is at."""

    name: str
    origin: str


def place_of(host: str, known: Sequence[str]) -> Place | None:
    """Return where that is; None: no key can work there. `host`: NAME or NAME:PORT, as asked for.

    `known`: what the site may be called, with and without ports.
    """
    host = host.lower()
    name = name_of(host)
    if not _is_name(name) or host not in (one.lower() for one in known):
        return None
    return Place(name=name, origin=f"https://{host}")


def elsewhere(host: str, known: Sequence[str], names: Sequence[str] = ()) -> tuple[str, ...]:
    """Return addresses of the same server at which keys work: of these names, or else of its first.

    On the machine itself that is `localhost`.
    """
    others = [name_of(one) for one in known]
    local = ["localhost"] if name_of(host) in ("127.0.0.1", "[::1]") else []
    found = [name for name in names or (*local, *others) if _is_name(name)]
    port = host.removeprefix(name_of(host))
    chosen = found if names else found[:1]
    return tuple(dict.fromkeys(f"https://{name}{port}" for name in chosen))


def name_of(host: str) -> str:
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


def _is_name(name: str) -> bool:
    if not name or name.startswith("["):
        return False
    try:
        ip_address(name)
    except ValueError:
        return True
    return False
