"""What a client is to do: one small signed envelope of its own, and the fragments it names.

A fragment (one deployment, say) is the same for every client and never changes; it is named by
the SHA-256 of its sealed bytes. Every kind is signed under its own name, so that a signature
over one can never be shown as a signature over another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta, Struct

from patchtide.domain.errors import InvalidDocument, Refused
from patchtide.wire.messages import Counter, Digest, Text, Uuid, decode, encode

SKEW_S = 3600
Moment = Annotated[int, Meta(ge=0, lt=2**40)]
Number = Annotated[int, Meta(ge=0, lt=2**32)]
Size = Annotated[int, Meta(ge=0, lt=2**53)]
Payload = Annotated[bytes, Meta(max_length=4 << 20)]
Approved = Annotated[bytes, Meta(max_length=16 << 10)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
File = tuple[Digest, Size]


class SignedV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="signed1"):
    payload: Payload
    key_id: Digest
    """SHA-256 of the public key."""
    signature: Signature


class LimitsV1(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """How much the agent does by itself, whatever it is told to. 0: its own default."""

    restarts_per_day: Annotated[int, Meta(ge=0, le=24)] = 0
    installs_per_hour: Annotated[int, Meta(ge=0, le=1000)] = 0


class EnvelopeV1(
    Struct, kw_only=True, frozen=True, omit_defaults=True, tag_field="t", tag="envelope1"
):
    client: Uuid
    sequence: Counter
    issued: Moment
    valid_until: Moment
    fragments: Annotated[tuple[Digest, ...], Meta(max_length=1024)] = ()
    slot: Annotated[int, Meta(ge=0, lt=10_000)] = 0
    """The client's lot: where in a rollout and in a window it stands."""
    limits: LimitsV1 = LimitsV1()
    lease: Moment = 0
    """Until when the client may begin what it was given a place for (a place in a wave, its
    group's lock); 0: it needs no place."""


class ItemV1(Struct, kw_only=True, frozen=True):
    number: Number
    revision: Number
    files: Annotated[tuple[File, ...], Meta(max_length=4096)]


class FragmentV1(
    Struct, kw_only=True, frozen=True, omit_defaults=True, tag_field="t", tag="fragment1"
):
    deployment: Uuid
    items: Annotated[tuple[ItemV1, ...], Meta(max_length=65_536)] = ()
    not_before: Moment = 0
    deadline: Moment = 0
    stopped: bool = False
    emergency: bool = False
    """Freezes do not keep it from being done."""
    rollbacks: Annotated[tuple[Approved, ...], Meta(max_length=64)] = ()
    """Sealed `ApprovedV1` of rollback orders, for items whose packages are to go back."""


class RollbackOrderV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="rollback-order1"):
    """Allows one product to go back to one version, once; two publishers sign it."""

    package: Text
    version: Text
    reason: Annotated[str, Meta(min_length=1, max_length=1024)]
    expires: Moment
    nonce: Uuid


class ApprovalV1(Struct, kw_only=True, frozen=True):
    key_id: Digest
    signature: Signature


class ApprovedV1(Struct, kw_only=True, frozen=True, tag_field="t", tag="approved1"):
    payload: Payload
    approvals: Annotated[tuple[ApprovalV1, ...], Meta(max_length=16)]


class Flaw(StrEnum):
    """Why a sealed document was refused."""

    MALFORMED = "malformed"
    UNKNOWN_KEY = "key-unknown"
    FORGED = "signature-does-not-verify"
    WRONG_CLIENT = "made-for-another-client"
    OLD_SEQUENCE = "sequence-lower-than-seen"
    EXPIRED = "no-longer-valid"
    FROM_THE_FUTURE = "issued-in-the-future"
    NOT_NAMED = "not-named-by-the-envelope"
    TOO_FEW_APPROVERS = "too-few-approvers"


class PolicyRefused(Refused):
    """The policy is not what this site signed for this client."""

    code = "policy-refused"

    def __init__(self, flaw: Flaw) -> None:
        self.flaw = flaw
        super().__init__(flaw.value)


Sign = Callable[[bytes], bytes]
Keys = Mapping[bytes, bytes]
"""Key id -> public Ed25519 key."""
S = TypeVar("S", bound=Struct)


def key_id(public_key: bytes) -> bytes:
    return sha256(public_key).digest()


def keys_of(*public_keys: bytes) -> dict[bytes, bytes]:
    return {key_id(key): key for key in public_keys}


def seal(document: Struct, sign: Sign, *, public_key: bytes) -> bytes:
    """Return the signed form, ready to travel."""
    payload = encode(document)
    signature = sign(_base(type(document), payload))
    return encode(SignedV1(payload=payload, key_id=key_id(public_key), signature=signature))


def open_sealed(data: bytes, kind: type[S], *, keys: Keys) -> S:
    """Return the document. Its bytes are not parsed before the signature was verified.

    Raises:
        PolicyRefused: with what is wrong.
    """
    sealed = _decoded(data, SignedV1)
    _verify(sealed.payload, kind, sealed.key_id, signature=sealed.signature, keys=keys)
    return _decoded(sealed.payload, kind)


def open_envelope(
    data: bytes, *, keys: Keys, client: bytes, sequence: int, now: float
) -> EnvelopeV1:
    """Return the client's envelope. `sequence`: the highest it has taken; the same is fine."""
    envelope = open_sealed(data, EnvelopeV1, keys=keys)
    if envelope.client != client:
        raise PolicyRefused(Flaw.WRONG_CLIENT)
    if envelope.sequence < sequence:
        raise PolicyRefused(Flaw.OLD_SEQUENCE)
    if envelope.issued > now + SKEW_S:
        raise PolicyRefused(Flaw.FROM_THE_FUTURE)
    if envelope.valid_until <= now:
        raise PolicyRefused(Flaw.EXPIRED)
    return envelope


def open_fragment(data: bytes, *, keys: Keys, named: Collection[bytes]) -> FragmentV1:
    """Return a fragment that the envelope names."""
    if sha256(data).digest() not in named:
        raise PolicyRefused(Flaw.NOT_NAMED)
    return open_sealed(data, FragmentV1, keys=keys)


def approve(payload: bytes, kind: type[Struct], sign: Sign, *, public_key: bytes) -> ApprovalV1:
    """Return one publisher's signature over a document that needs several."""
    return ApprovalV1(key_id=key_id(public_key), signature=sign(_base(kind, payload)))


def rollback_of(data: bytes) -> RollbackOrderV1 | None:
    """Return what an order says, not whether it may: that is for `open_approved` to tell."""
    try:
        return _decoded(_decoded(data, ApprovedV1).payload, RollbackOrderV1)
    except PolicyRefused:
        return None


def open_approved(data: bytes, kind: type[S], *, keys: Keys, approvers: int) -> S:
    """Return a document that at least so many different keys signed."""
    approved = _decoded(data, ApprovedV1)
    distinct = {a.key_id: a for a in approved.approvals if a.key_id in keys}
    if len(distinct) < approvers:
        raise PolicyRefused(Flaw.TOO_FEW_APPROVERS)
    for found in distinct.values():
        _verify(approved.payload, kind, found.key_id, signature=found.signature, keys=keys)
    return _decoded(approved.payload, kind)


def _verify(payload: bytes, kind: type[Struct], by: bytes, *, signature: bytes, keys: Keys) -> None:
    if by not in keys:
        raise PolicyRefused(Flaw.UNKNOWN_KEY)
    try:
        Ed25519PublicKey.from_public_bytes(keys[by]).verify(signature, _base(kind, payload))
    except InvalidSignature as error:
        raise PolicyRefused(Flaw.FORGED) from error


def _base(kind: type[Struct], payload: bytes) -> bytes:
    tag = kind.__struct_config__.tag
    return f"patchtide-{tag}\0".encode() + payload


def _decoded(data: bytes, kind: type[S]) -> S:
    try:
        return decode(data, kind)
    except InvalidDocument as error:
        raise PolicyRefused(Flaw.MALFORMED) from error
