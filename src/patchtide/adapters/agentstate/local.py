"""What the machine's administrator wrote for its agent: a small TOML file, beside no secret.

The account of a proxy lies in a file of its own, which others may not read.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from patchtide.agent.settings import LocalSettings
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.domain.schedules.scanning import (
    LONGEST_POLL_S,
    LONGEST_SCAN_S,
    SHORTEST_POLL_S,
)
from patchtide.domain.sequencer.proxies import Proxy, proxy_of

DEFAULT_CONFIG = Path("/etc/patchtide/agent.toml")
HOUR_S = 3600


class _Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    poll_s: Annotated[int, Meta(ge=SHORTEST_POLL_S, le=LONGEST_POLL_S)] | None = None
    scan_every_h: Annotated[int, Meta(ge=1, le=LONGEST_SCAN_S // HOUR_S)] | None = None
    proxy: str | None = None
    """Empty: none, whatever the site says."""
    proxy_account: str = ""
    proxy_direct: tuple[str, ...] = ()
    take_over_updaters: bool | None = None


def read_local(path: Path, *, state: Path) -> LocalSettings:
    """Return what is written there; nothing where there is no file.

    `state` is the agent's folder: whoever asks, the agent is who has to be able to read it all.

    Raises:
        InvalidDocument: it cannot be read, or something in it cannot be.
    """
    try:
        written = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _Written)
    except FileNotFoundError:
        return LocalSettings()
    except OSError as error:
        raise InvalidDocument([Problem(str(path), str(error.strerror))]) from error
    except (ValueError, msgspec.ValidationError) as error:
        raise InvalidDocument([Problem(str(path), str(error))]) from error
    return LocalSettings(
        poll_s=written.poll_s or 0,
        scan_every_s=(written.scan_every_h or 0) * HOUR_S,
        has_proxy=written.proxy is not None,
        proxy=_proxy(written, state) if written.proxy else None,
        take_over_updaters=written.take_over_updaters,
    )


def local_or_nothing(path: Path, *, state: Path) -> tuple[LocalSettings, str]:
    """Return what is written there, and what is wrong with it: then nothing of it counts."""
    try:
        return read_local(path, state=state), ""
    except InvalidDocument as error:
        return LocalSettings(), str(error)


def _proxy(written: _Written, state: Path) -> Proxy:
    user, password = "", ""
    if written.proxy_account:
        user, password = _account(Path(written.proxy_account), _agent(state))
    return proxy_of(written.proxy or "", user=user, password=password, direct=written.proxy_direct)


def _account(path: Path, agent: int) -> tuple[str, str]:
    try:
        with path.open("rb") as file:
            if problems := list(_too_open(path, os.fstat(file.fileno()), agent)):
                raise InvalidDocument(problems)
            text = file.read(1024).decode("utf-8", "replace").strip("\r\n")
    except OSError as error:
        raise InvalidDocument([Problem(str(path), str(error.strerror))]) from error
    user, colon, password = text.partition(":")
    if not colon:
        raise InvalidDocument([Problem(str(path), "is not one line of USER:PASSWORD")])
    return user, password


def _agent(state: Path) -> int:
    """Return the agent's user: whose its folder is, before there is one whoever asks."""
    try:
        return state.stat().st_uid
    except FileNotFoundError:
        return os.geteuid()


def _too_open(path: Path, found: os.stat_result, agent: int) -> Iterator[Problem]:
    if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != agent:
        yield Problem(str(path), "others may read it: chmod 600, and let it be the agent's")
