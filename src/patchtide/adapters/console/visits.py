"""One request of a browser: its cookie, its query, its form, and whether the form is our own.

A form counts only when three things agree: the browser says that the page is of this origin, the
cookie came along, and the form carries a token that only a page made for that cookie knows.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

from patchtide.adapters.console import multipart
from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import InvalidDocument, Problem, Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BACKGROUND = "patchtide-background"
PART = "hx-request"
"""What asks for a part of a page says so there."""
SESSION = "__Host-patchtide-session"
VISITOR = "__Host-patchtide-visitor"
FORM_TOKEN = "form_token"  # noqa: S105 - the name of a field
FORM_BYTES = 64 << 10
FIELDS = 1100
"""A list shows at most 500 rows to select from."""
COOKIE_CHARS = 128


class ForgedForm(Refused):
    """This form did not come from a page of this console. Open the page again and retry."""

    code = "forged-form"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a browser asks, once it is known who sits at it."""

    method: str
    path: str
    query: Mapping[str, str]
    raw_query: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    peer: str
    secret: str
    """Of the session, or of a visitor who has none."""
    principal: Principal
    form: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_new_visitor: bool = False
    waiting: int = 0
    """How many proposals wait for the visitor."""

    @property
    def form_token(self) -> str:
        return token_of(self.secret)

    @property
    def host(self) -> str:
        """What the browser names as the server."""
        return self.headers.get("host", "")

    @property
    def is_background(self) -> bool:
        """Say whether a page refreshes itself: that is no sign of a person."""
        return BACKGROUND in self.headers

    @property
    def wants_fragment(self) -> bool:
        """Say whether only a part of the page is to be replaced."""
        return self.headers.get(PART) == "true"

    def said(self, name: str) -> str:
        """Return the field of the form, or nothing."""
        values = self.form.get(name, ())
        return values[0] if values else ""

    def lines(self, name: str) -> list[str]:
        """Return what the lines of the field say, but for empty ones."""
        return [line for line in map(str.strip, self.said(name).split("\n")) if line]

    def back(self, otherwise: str) -> str:
        """Return where the form's page leads back to."""
        return local_path(self.said("back"), otherwise=otherwise)

    @property
    def address(self) -> str:
        return f"{self.path}?{self.raw_query}" if self.raw_query else self.path


# A path on this very host: one slash, and nothing that a browser could take for another host.
_LOCAL = re.compile(r"/(?![/\\])[A-Za-z0-9/._~%?&=+,:@-]*")


def local_path(address: str, *, otherwise: str = "/") -> str:
    return address if _LOCAL.fullmatch(address) else otherwise


def token_of(secret: str) -> str:
    return sha256(b"patchtide-form-1\0" + secret.encode()).hexdigest()


def new_secret() -> str:
    return secrets.token_hex(32)


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers; of those sent twice, nothing: who does that is no browser."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for raw_name, raw in scope["headers"]:
        name = raw_name.decode("latin-1").lower()
        if name in found:
            twice.add(name)
        found[name] = raw.decode("latin-1")
    return {name: value for name, value in found.items() if name not in twice}


def cookie_of(headers: Mapping[str, str], name: str) -> str:
    """Return the cookie's value when it is there once and looks like one of ours."""
    pairs = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
    values = [value for key, _, value in pairs if key == name]
    if len(values) != 1 or len(values[0]) > COOKIE_CHARS or not values[0].isalnum():
        return ""
    return values[0]


def query_of(scope: Scope) -> dict[str, str]:
    """Return the query; the last of several values of one name counts.

    Raises:
        InvalidDocument: it is none.
    """
    try:
        text = scope["query_string"].decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=64))
    except ValueError as error:
        raise InvalidDocument([Problem("query", "is not a list of name=value")]) from error


async def form_of(
    receive: Receive, *, kind: str, limit: int = FORM_BYTES
) -> dict[str, tuple[str, ...]]:
    """Return the form's fields.

    Raises:
        InvalidDocument: it is too large, or none.
    """
    body = await _body(receive, limit=limit)
    if kind.startswith(multipart.KIND):
        return await asyncio.to_thread(multipart.fields_in, body, kind)
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS
        )
    except ValueError as error:
        raise InvalidDocument([Problem("form", "is not a list of name=value")]) from error
    found: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        found[name] = (*found.get(name, ()), value)
    return found


async def _body(receive: Receive, *, limit: int) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidDocument([Problem("form", "the connection ended within it")])
        body += message.get("body", b"")
        if len(body) > limit:
            raise InvalidDocument([Problem("form", f"is larger than {limit} bytes")])
        more = message.get("more_body", False)
    return bytes(body)


def check_origin(headers: Mapping[str, str]) -> None:
    """Believe a form only when the browser says that one of our own pages sent it.

    Raises:
        ForgedForm: it says otherwise, or nothing at all.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and origin is None:
        raise ForgedForm
    if site is not None and site != "same-origin":
        raise ForgedForm
    if origin is not None and origin != f"https://{headers.get('host', '')}":
        raise ForgedForm


def check_token(said: str, secret: str) -> None:
    """Raises ForgedForm when the form was not made for whoever holds the secret."""
    if not secret or not hmac.compare_digest(said.encode(), token_of(secret).encode()):
        raise ForgedForm
