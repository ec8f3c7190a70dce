"""What a browser is answered: a page, a part of one, a way to another, a file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from patchtide.server.table import File

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PART_BYTES = 256 << 10
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
    file: File | None = None
    """Is sent in place of the body, part by part, and closed."""

    def with_cookie(self, name: str, value: str) -> Self:
        """Give the browser a cookie for this host alone; without a value, take it away."""
        gone = "" if value else "; Max-Age=0"
        cookie = f"{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{gone}"
        return replace(self, headers=(*self.headers, ("set-cookie", cookie)))

    async def send(self, send: Send) -> None:
        if self.file is not None:
            await self._send_file(send, self.file)
            return
        length = str(len(self.body))
        guard = ("content-security-policy", policy(self.nonce))
        pairs = [guard, *_HEADERS, *self.headers, ("content-length", length)]
        if self.body:
            pairs.append(("content-type", self.kind))
        await self._begin(send, pairs)
        await send({"type": "http.response.body", "body": self.body})

    async def _begin(self, send: Send, pairs: Sequence[tuple[str, str]]) -> None:
        raw = [(name.encode(), value.encode()) for name, value in pairs]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})

    async def _send_file(self, send: Send, file: File) -> None:
        guard = ("content-security-policy", policy(self.nonce))
        with file.body as body:
            size = await asyncio.to_thread(body.seek, 0, os.SEEK_END)
            await asyncio.to_thread(body.seek, 0)
            length = ("content-length", str(size))
            kind = ("content-type", file.media_type)
            name = ("content-disposition", f'attachment; filename="{file.name}"')
            await self._begin(send, [guard, *_HEADERS, *self.headers, length, kind, name])
            while part := await asyncio.to_thread(body.read, PART_BYTES):
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def see_other(address: str) -> Reply:
    return Reply(status=303, headers=(("location", address),))


def see_done(address: str, done: str) -> Reply:
    """Lead to where it is told what was done, as `approve-3`."""
    return see_other(f"{address}{'&' if '?' in address else '?'}done={done}")


def download(body: bytes, *, kind: str, name: str) -> Reply:
    disposition = f'attachment; filename="{name}"'
    return Reply(body=body, kind=kind, headers=(("content-disposition", disposition),))
