"""What a connection came to: in one sentence, and at which step it failed.

Libraries put addresses, accounts among them, into what they say; only the cause is taken of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from urllib3.exceptions import (
    ConnectTimeoutError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)

from patchtide.adapters.feeds.errors import FeedUnreachable
from patchtide.server.ports.feed import Step

_TUNNEL = re.compile(r"Tunnel connection failed: (?P<status>[0-9]{3})")
_APT: tuple[tuple[Step, re.Pattern[str]], ...] = (
    (Step.ACCOUNT, re.compile(r"\b(401|403|407)\b")),
    (Step.PROXY, re.compile(r"from proxy|SOCKS proxy", re.I)),
    (Step.NAME, re.compile(r"resolv", re.I)),
    (Step.TLS, re.compile(r"certificate|handshake|TLS|SSL")),
    (Step.CONNECTION, re.compile(r"connect|refused|unreachable|No route", re.I)),
    (Step.STATUS, re.compile(r"^[1-5][0-9]{2}\b")),
)


def failed(address: str, error: Exception, *, step: Step | None = None) -> FeedUnreachable:
    """Return the error of an address that could not be asked; `address` may be shown."""
    causes = list(_causes(error))
    said = next((text for each in causes if (text := _of_proxy(each))), "") or _why(causes)
    return FeedUnreachable(f"{address}: {said}", step=step or _step(causes))


def step_of_apt(said: str) -> Step:
    """Return at which step apt failed, by its own words."""
    return next((step for step, marks in _APT if marks.search(said)), Step.ANSWER)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what it holds, and what that holds."""
    if error is None:
        return
    yield error
    inner = [getattr(error, name, None) for name in ("original_error", "reason")]
    for each in (*inner, *error.args):
        if isinstance(each, BaseException):
            yield from _causes(each)


def _step(causes: list[BaseException]) -> Step:
    tunnel = next((found for each in causes if (found := _TUNNEL.search(str(each)))), None)
    if tunnel is not None:
        return Step.ACCOUNT if tunnel["status"] == "407" else Step.PROXY
    for step, kinds in (
        (Step.NAME, (NameResolutionError,)),
        (Step.TLS, (SSLError,)),
        (Step.CONNECTION, (NewConnectionError, ConnectTimeoutError)),
        (Step.PROXY, (ProxyError,)),
    ):
        if any(isinstance(each, kinds) for each in causes):
            return step
    return Step.ANSWER


def _of_proxy(error: BaseException) -> str:
    if found := _TUNNEL.search(str(error)):
        status = found["status"]
        return (
            "the proxy wants another account (407)"
            if status == "407"
            else f"the proxy answered {status}"
        )
    if isinstance(error, ProxyError):
        inner = _why(list(_causes(error))[1:])
        return f"the proxy cannot be spoken to: {inner}"
    return ""


def _why(causes: list[BaseException]) -> str:
    for cause in causes:
        if said := getattr(cause, "verify_message", ""):
            return f"its certificate is not believed: {said}"
    for cause in causes:
        if isinstance(cause, NameResolutionError):
            return "the name is not known here"
        if said := getattr(cause, "strerror", None):
            return str(said)
    return type(causes[-1]).__name__ if causes else "it was not said why"
