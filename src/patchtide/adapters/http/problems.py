"""Problem documents (RFC 9457): every refusal in one form, with a stable code.

A domain error becomes a status in one table, here. The code is what programs compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
from msgspec import Struct

from patchtide.domain.errors import (
    InvalidDocument,
    NotFound,
    PatchtideError,
    Refused,
    StaleRevision,
    TooMuch,
    Unauthenticated,
    Unavailable,
    WrongState,
)

Headers = list[tuple[bytes, bytes]]


class WrongMethod(PatchtideError):
    """This cannot be done to this address."""

    code = "wrong-method"

    def __init__(self, allowed: str) -> None:
        self.allowed = allowed
        super().__init__(f"allowed here: {allowed}")


class TooLarge(PatchtideError):
    """The body is larger than this request may be."""

    code = "body-too-large"


class WrongMediaType(PatchtideError):
    """The body must be JSON and say so: Content-Type: application/json."""

    code = "wrong-media-type"


class TooOften(TooMuch):
    """Too many requests; try again later."""

    code = "too-often"

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__()


STATUS_OF: Mapping[type[PatchtideError], int] = MappingProxyType(
    {
        InvalidDocument: 400,
        Unauthenticated: 401,
        Refused: 403,
        NotFound: 404,
        WrongMethod: 405,
        StaleRevision: 409,
        WrongState: 409,
        TooLarge: 413,
        WrongMediaType: 415,
        TooMuch: 429,
        Unavailable: 503,
    }
)


class Mistake(Struct, kw_only=True, frozen=True):
    where: str
    what: str


class ProblemDocument(Struct, kw_only=True, frozen=True, omit_defaults=True):
    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    problems: tuple[Mistake, ...] = ()
    """Every mistake in the input, each with its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back for one request."""

    status: int
    headers: Headers
    body: bytes = b""


def status_of(error: PatchtideError) -> int:
    return next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 500)


def reply_of(error: PatchtideError) -> Reply:
    """Return the problem document; an error without a status tells nothing of itself."""
    status = status_of(error)
    if status == 500:
        error = PatchtideError()
    document = ProblemDocument(
        type=f"urn:patchtide:problem:{error.code}",
        title=(type(error).__doc__ or "").strip(),
        status=status,
        code=error.code,
        detail=str(error),
        problems=_mistakes(error),
    )
    body = msgspec.json.encode(document)
    return Reply(status=status, headers=_headers(error, body), body=body)


def _mistakes(error: PatchtideError) -> tuple[Mistake, ...]:
    if not isinstance(error, InvalidDocument):
        return ()
    return tuple(Mistake(where=p.where, what=p.what) for p in error.problems)


def _headers(error: PatchtideError, body: bytes) -> Headers:
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
    ]
    match error:
        case Unauthenticated():
            headers.append((b"www-authenticate", b'Bearer realm="patchtide"'))
        case WrongMethod(allowed=allowed):
            headers.append((b"allow", allowed.encode()))
        case TooOften(retry_after_s=wait):
            headers.append((b"retry-after", str(max(1, round(wait))).encode()))
        case TooMuch() | Unavailable():
            headers.append((b"retry-after", b"5"))
        case _:
            return headers
    return headers
