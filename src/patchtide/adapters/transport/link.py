"""The agent's link: HTTP over TLS, each request signed, each deciding answer verified.

It never tries twice: the brain is the one layer that retries. What is not signed can only slow
the agent down, never tell it anything.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from urllib3 import HTTPHeaderDict

from patchtide.adapters.transport.lines import Lines
from patchtide.agent.enrolment import EnrolmentFailed
from patchtide.agent.ports.link import (
    Answer,
    Busy,
    JumpTo,
    LinkFailed,
    NeedFull,
    News,
    NoNews,
    Outgoing,
    SendAgain,
    Taken,
)
from patchtide.agent.ports.web import TransferFailed, TransferUntrusted
from patchtide.domain.errors import InvalidDocument
from patchtide.wire.messages import (
    AgainV1,
    CheckInAnswerV1,
    EnrolledV1,
    EnrolV1,
    JumpV1,
    decode,
    encode,
)
from patchtide.wire.request_signature import Request, answer_base, brief, sign_request

ANSWER_LIMIT = 1 << 20
STALL_S = 60.0
TOTAL_S = 300.0
MAX_RETRY_AFTER_S = 3600
DEFAULT_RETRY_AFTER_S = 60
_SIGNATURE = re.compile(r"sig=:([A-Za-z0-9+/=]+):")

Sign = Callable[[bytes], bytes]


class _NotBelieved(Exception):
    """The answer is not what the server of this site would have sent."""


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: HTTPHeaderDict
    body: bytes
    request_signature: bytes


class _Exchange:
    """One signed request, one bounded reply."""

    def __init__(self, url: str, lines: Lines, sign: Sign) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError(f"{url} is no https address")
        self._host, self._port = parts.hostname, parts.port
        self._authority = parts.netloc
        self._sign = sign
        self._lines = lines

    def post(self, path: str, message: Outgoing, *, key_id: str) -> _Reply:
        """Raises TransferFailed and _NotBelieved."""
        request = Request(method="POST", authority=self._authority, path=path, body=message.body)
        headers = sign_request(
            request, self._sign, key_id=key_id, counter=message.counter, created=message.created
        )
        signature = _SIGNATURE.fullmatch(dict(headers)["signature"])
        if signature is None:
            raise _NotBelieved("the request's own signature cannot be read")
        with self._lines.borrowed(self._host, self._port, total_s=TOTAL_S, stall_s=STALL_S) as line:
            response = line.ask(
                "POST",
                path,
                headers={"host": self._authority, **dict(headers)},
                body=message.body,
            )
            body = bytearray()
            for chunk in line.chunks(response):
                body += chunk
                if len(body) > ANSWER_LIMIT:
                    raise _NotBelieved("the answer is too long")
        found = response.headers
        return _Reply(response.status, found, bytes(body), base64.b64decode(signature[1]))


class TlsLink:
    """A ServerLink of an enrolled machine."""

    def __init__(
        self,
        url: str,
        lines: Lines,
        *,
        client: bytes,
        sign: Sign,
        answer_key: bytes,
    ) -> None:
        self._exchange = _Exchange(url, lines, sign)
        self._key_id = str(UUID(bytes=client))
        self._answer_key = Ed25519PublicKey.from_public_bytes(answer_key)

    def check_in(self, message: Outgoing) -> Answer:
        return self._ask("/agent/v1/checkin", message)

    def report(self, message: Outgoing) -> Answer:
        return self._ask("/agent/v1/report", message)

    def inventory(self, message: Outgoing) -> Answer:
        return self._ask("/agent/v1/inventory", message)

    def _ask(self, path: str, message: Outgoing) -> Answer:
        try:
            reply = self._exchange.post(path, message, key_id=self._key_id)
            return self._understood(reply)
        except (TransferUntrusted, _NotBelieved, InvalidDocument) as error:
            return LinkFailed("untrusted", str(error)[:256])
        except TransferFailed as error:
            return LinkFailed("unreachable", str(error)[:256])

    def _understood(self, reply: _Reply) -> Answer:
        if reply.status in (429, 503):
            return Busy(_retry_after(reply.headers))
        if reply.status in _SIGNED and _is_signed(reply):
            _verify(reply, self._answer_key)
            return _SIGNED[reply.status](reply)
        if reply.status in _DECIDING:
            raise _NotBelieved(f"an answer {reply.status} without a signature")
        return LinkFailed(_CODES.get(reply.status, "server-error"), f"status {reply.status}")


class TlsEnrolment:
    """An EnrolmentLink: over verified TLS, signed by the very key that is enrolled."""

    def __init__(
        self,
        url: str,
        lines: Lines,
        *,
        key_id: str,
        sign: Sign,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._exchange = _Exchange(url, lines, sign)
        self._key_id = key_id
        self._now = now

    def enrol(self, asked: EnrolV1) -> EnrolledV1:
        try:
            reply = self._post(asked, created=int(self._now()))
            if reply.status == 401 and reply.body:
                reply = self._post(asked, created=int(_server_time(reply)))
            if reply.status != 200:
                raise EnrolmentFailed(_reason(reply))
            answer = decode(reply.body, EnrolledV1)
            # Trust on first use, on a connection that the token's CA vouches for.
            _verify(reply, Ed25519PublicKey.from_public_bytes(answer.answer_key))
        except (_NotBelieved, InvalidDocument, TransferFailed) as error:
            raise EnrolmentFailed(str(error)) from error
        return answer

    def _post(self, asked: EnrolV1, *, created: int) -> _Reply:
        message = Outgoing(body=encode(asked), counter=1, created=created)
        return self._exchange.post("/agent/v1/enrol", message, key_id=self._key_id)


def _is_signed(reply: _Reply) -> bool:
    return "patchtide-signature" in reply.headers


def _verify(reply: _Reply, key: Ed25519PublicKey) -> None:
    said = (
        brief(poll_s=_poll(reply), root_version=_root(reply)) if reply.status == 204 else reply.body
    )
    base = answer_base(request_signature=reply.request_signature, status=reply.status, body=said)
    try:
        signature = base64.b64decode(reply.headers["patchtide-signature"], validate=True)
        key.verify(signature, base)
    except (KeyError, ValueError, binascii.Error, InvalidSignature) as error:
        raise _NotBelieved("the answer's signature does not verify") from error


def _no_news(reply: _Reply) -> Answer:
    return NoNews(_poll(reply), _root(reply))


def _poll(reply: _Reply) -> int:
    return _number(reply, "patchtide-next-poll")


def _root(reply: _Reply) -> int:
    return _number(reply, "patchtide-root")


def _number(reply: _Reply, name: str) -> int:
    text = reply.headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def _server_time(reply: _Reply) -> float:
    return decode(reply.body, AgainV1).now


def _again(reply: _Reply) -> Answer:
    # A 401 without a time is a refusal for good: signed, but nothing to send again.
    try:
        return SendAgain(_server_time(reply))
    except InvalidDocument:
        return LinkFailed("not-recognised", _reason(reply))


_SIGNED: dict[int, Callable[[_Reply], Answer]] = {
    200: lambda reply: News(decode(reply.body, CheckInAnswerV1)),
    202: lambda reply: Taken(),
    204: _no_news,
    401: _again,
    409: lambda reply: JumpTo(decode(reply.body, JumpV1).expected),
    422: lambda reply: NeedFull(),
}
_DECIDING = frozenset({200, 202, 204, 409, 422})
_CODES = {400: "refused", 401: "not-recognised", 403: "not-admitted", 413: "refused"}


def _retry_after(headers: HTTPHeaderDict) -> float:
    text = headers.get("retry-after", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return DEFAULT_RETRY_AFTER_S
    return min(max(int(text), 1), MAX_RETRY_AFTER_S)


def _reason(reply: _Reply) -> str:
    text = reply.body[:256].decode("utf-8", "replace")
    return f"status {reply.status}: {''.join(c for c in text if c.isprintable())}"
