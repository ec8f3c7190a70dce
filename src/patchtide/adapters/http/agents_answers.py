"""What the agents' plane answers, before it is signed; what was refused among it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from patchtide.adapters.http.problems import TooLarge
from patchtide.domain.errors import (
    InvalidDocument,
    PatchtideError,
    TooMuch,
    Unauthenticated,
    Unavailable,
)
from patchtide.server.admission import Jump, NotAdmitted, SayAgain
from patchtide.server.enrolment import EnrolmentRefused, KeySeenElsewhere
from patchtide.server.reports import NeedFull
from patchtide.wire.messages import encode
from patchtide.wire.request_signature import BODY_TYPE

TYPE = (b"content-type", BODY_TYPE.encode())
_STATUS: Mapping[type[PatchtideError], int] = {
    InvalidDocument: 400,
    Unauthenticated: 401,
    SayAgain: 401,
    NotAdmitted: 403,
    EnrolmentRefused: 403,
    KeySeenElsewhere: 403,
    Jump: 409,
    TooLarge: 413,
    NeedFull: 422,
    TooMuch: 429,
    Unavailable: 503,
}
_problem = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `signature` is the request's, when the answer is to be signed over it."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    signature: bytes = b""
    brief: bytes = b""
    """What is signed in place of a body that there is not."""
    signed: tuple[bytes, bytes] | None = None
    """What was signed already, and its signature: of this answer, if it was foreseen."""


def refusal(error: PatchtideError, signature: bytes = b"") -> Answer:
    """Return what says no; signed if the request's signature is given."""
    if isinstance(error, SayAgain):
        return Answer(401, encode(error.answer), (TYPE,), error.request_signature)
    if isinstance(error, Jump):
        return Answer(409, encode(error.answer), (TYPE,), signature)
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    if status == 500:
        raise error
    body = _problem.encode({"type": "about:blank", "code": error.code, "detail": str(error)})
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/problem+json"),)
    if status in (429, 503):
        headers += ((b"retry-after", b"30" if status == 429 else b"5"),)
    return Answer(status, body, headers, signature)


def come_back(wait_s: float) -> Answer:
    """Return what sends a machine away for a while."""
    return Answer(503, b"", ((b"retry-after", str(max(1, round(wait_s))).encode()),))
