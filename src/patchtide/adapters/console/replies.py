"""What a browser is answered: a page, a part of one, a way to another, a file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Self

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_HEADERS = (
    # Without any referrer a form would name no origin, and could not be told from a stranger's.
    ("referrer-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=(), payment=()"),
)


def policy(nonce: str) -> str:
    """Return what a page may load and do: with the nonce our own script and style, nothing else."""
    ours = f"'nonce-{nonce}'" if nonce else "'none'"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {ours}",
            f"style-src {ours}",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int = 200
    body: bytes = b""
    kind: str = "text/html; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    nonce: str = ""

    def with_cookie(self, name: str, value: str) -> Self:
        """Give the browser a cookie for this host alone; without a value, take it away."""
        gone = "" if value else "; Max-Age=0"
        cookie = f"{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{gone}"
        return replace(self, headers=(*self.headers, ("set-cookie", cookie)))

    async def send(self, send: Send) -> None:
        length = str(len(self.body))
        guard = ("content-security-policy", policy(self.nonce))
        pairs = [guard, *_HEADERS, *self.headers, ("content-length", length)]
        if self.body:
            pairs.append(("content-type", self.kind))
        raw = [(name.encode(), value.encode()) for name, value in pairs]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": self.body})


def see_other(address: str) -> Reply:
    return Reply(status=303, headers=(("location", address),))


def nothing_new() -> Reply:
    return Reply(status=204)


def download(body: bytes, *, kind: str, name: str) -> Reply:
    disposition = f'attachment; filename="{name}"'
    return Reply(body=body, kind=kind, headers=(("content-disposition", disposition),))
