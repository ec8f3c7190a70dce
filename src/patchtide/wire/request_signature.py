"""The frozen RFC 9421 profile: how a client signs each request. Two shapes, nothing else.

Without a body the signature covers `@method @authority @path @query`; with one also
`content-digest content-type`. One signature, Ed25519, label `sig`, parameters in exactly this
order: created, nonce, keyid, alg, tag. The nonce is the client's strictly increasing counter.

A reader does not parse the structured fields in general: it takes the one spelling that the
profile allows and refuses every other, so there is nothing to be lenient about.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from patchtide.domain.errors import Unauthenticated

TAG = "patchtide-agent-v1"
WINDOW_S = 300
BODY_TYPE = "application/msgpack"

_BARE = '("@method" "@authority" "@path" "@query")'
_BODY = '("@method" "@authority" "@path" "@query" "content-digest" "content-type")'
_PARAMETERS = re.compile(
    r'sig=(?P<shape>\([^)]*\));created=(?P<created>[1-9][0-9]{0,11});nonce="(?P<nonce>[1-9][0-9]{0,15})"'
    r';keyid="(?P<keyid>[0-9a-f-]{36}|[0-9a-f]{64})";alg="ed25519";tag="patchtide-agent-v1"'
)
_SIGNATURE = re.compile(r"sig=:([A-Za-z0-9+/]{86}==):")


class Flaw(StrEnum):
    """Why a request's signature was refused."""

    MISSING = "signature-missing"
    DUPLICATED = "signature-header-duplicated"
    MALFORMED = "signature-malformed"
    WRONG_SHAPE = "signature-covers-the-wrong-components"
    DIGEST = "content-digest-does-not-match"
    CONTENT_TYPE = "content-type-is-not-msgpack"
    TOO_OLD = "signature-too-old"
    FROM_THE_FUTURE = "signature-from-the-future"
    AUTHORITY = "authority-is-not-ours"
    UNKNOWN_KEY = "key-unknown"
    FORGED = "signature-does-not-verify"
    REPLAYED = "counter-already-used"


class BadSignature(Unauthenticated):
    """The request's signature was refused."""

    def __init__(self, flaw: Flaw, signature: bytes = b"") -> None:
        self.flaw = flaw
        self.signature = signature
        super().__init__(flaw.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a signature speaks of. `path` and `query` are as sent, undecoded; query without `?`."""

    method: str
    authority: str
    path: str
    query: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureClaim:
    """A well-formed signature, not yet verified against a key."""

    key_id: str
    counter: int
    created: int
    base: bytes
    signature: bytes


Headers = Iterable[tuple[bytes, bytes]]
Sign = Callable[[bytes], bytes]


def content_digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(sha256(body).digest()).decode()}:"


def sign_request(
    request: Request, sign: Sign, *, key_id: str, counter: int, created: int
) -> list[tuple[str, str]]:
    """Return the headers to add to the request."""
    shape = _BODY if request.body else _BARE
    parameters = (
        f'{shape};created={created};nonce="{counter}";keyid="{key_id}";alg="ed25519";tag="{TAG}"'
    )
    digest = content_digest(request.body) if request.body else ""
    signature = base64.b64encode(sign(_base(request, digest, parameters))).decode()
    headers = [("signature-input", f"sig={parameters}"), ("signature", f"sig=:{signature}:")]
    if request.body:
        headers += [("content-digest", digest), ("content-type", BODY_TYPE)]
    return headers


def read_signature(
    request: Request, headers: Headers, *, authorities: frozenset[str], now: float
) -> SignatureClaim:
    """Check everything about a signature but the key's own verdict; `base` is what was signed.

    Raises:
        BadSignature: with the first flaw found, cheapest checks first.
    """
    found = _own_headers(headers)
    match = _PARAMETERS.fullmatch(found["signature-input"])
    signature = _SIGNATURE.fullmatch(found["signature"])
    if match is None or signature is None:
        raise BadSignature(Flaw.MALFORMED)
    if match["shape"] != (_BODY if request.body else _BARE):
        raise BadSignature(Flaw.WRONG_SHAPE)
    if request.authority not in authorities:
        raise BadSignature(Flaw.AUTHORITY)
    created = int(match["created"])
    if created < now - WINDOW_S:
        raise BadSignature(Flaw.TOO_OLD, _decoded(signature[1]))
    if created > now + WINDOW_S:
        raise BadSignature(Flaw.FROM_THE_FUTURE, _decoded(signature[1]))
    if request.body:
        _check_body(request.body, found)
    base = _base(request, found.get("content-digest", ""), found["signature-input"][4:])
    return SignatureClaim(
        key_id=match["keyid"],
        counter=int(match["nonce"]),
        created=created,
        base=base,
        signature=_decoded(signature[1]),
    )


def claimed_key(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return by whose key a request says that it is signed, of which nothing is checked."""
    for name, value in headers:
        if name.lower() == b"signature-input":
            match = _PARAMETERS.fullmatch(value.decode("latin-1"))
            return match["keyid"] if match else ""
    return ""


def _own_headers(headers: Headers) -> dict[str, str]:
    wanted = (b"signature-input", b"signature", b"content-digest", b"content-type")
    found: dict[str, str] = {}
    for raw_name, value in headers:
        name = raw_name.lower()
        if name not in wanted:
            continue
        if name.decode() in found:
            raise BadSignature(Flaw.DUPLICATED)
        found[name.decode()] = value.decode("latin-1")
    if "signature-input" not in found or "signature" not in found:
        raise BadSignature(Flaw.MISSING)
    return found


def _check_body(body: bytes, found: dict[str, str]) -> None:
    if found.get("content-type") != BODY_TYPE:
        raise BadSignature(Flaw.CONTENT_TYPE)
    if found.get("content-digest") != content_digest(body):
        raise BadSignature(Flaw.DIGEST)


def _base(request: Request, digest: str, parameters: str) -> bytes:
    lines = (
        f'"@method": {request.method}\n"@authority": {request.authority}\n'
        f'"@path": {request.path}\n"@query": ?{request.query}\n'
    )
    if request.body:
        lines += f'"content-digest": {digest}\n"content-type": {BODY_TYPE}\n'
    return f'{lines}"@signature-params": {parameters}'.encode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise BadSignature(Flaw.MALFORMED) from error


def brief(*, poll_s: int, root_version: int) -> bytes:
    """Return what an answer without a body says in its headers, as it is signed."""
    return f"{poll_s} {root_version}".encode()


def answer_base(*, request_signature: bytes, status: int, body: bytes) -> bytes:
    """Return what the server signs of an answer, so that no answer fits another request.

    An answer 204 has no body; `brief` of its headers stands in its place.
    """
    return b"patchtide-answer-1\0" + sha256(request_signature).digest() + status.to_bytes(2) + body
