"""Laws of requests' and answers' signatures: two libraries, one verdict."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from patchtide.adapters.sodium.verifier import signer, verify

Change = Callable[[bytes], bytes]

SEEDS = st.binary(min_size=32, max_size=32)
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.just(lambda data: data),
    st.integers(0, 511).map(lambda at: lambda data: _flipped(data, at)),
    st.just(lambda data: data[:-1]),
    st.binary(min_size=1, max_size=40).map(lambda more: lambda data: data + more),
)


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    if changed:
        changed[at // 8 % len(changed)] ^= 1 << at % 8
    return bytes(changed)


def by_openssl(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@given(SEEDS, st.binary(max_size=300))
def test_what_is_signed_is_what_openssl_signs(seed: bytes, message: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)

    assert signer(key)(message) == key.sign(message)


@settings(max_examples=1000)
@given(SEEDS, st.binary(max_size=300), CHANGES, CHANGES, CHANGES)
def test_a_verdict_is_that_of_openssl(
    seed: bytes, message: bytes, to_key: Change, to_signature: Change, to_message: Change
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    claim = (
        to_key(key.public_key().public_bytes_raw()),
        to_signature(key.sign(message)),
        to_message(message),
    )

    assert verify(*claim) == by_openssl(*claim)


@given(SEEDS, st.binary(min_size=1, max_size=64))
def test_a_short_signature_does_not_take_its_end_from_the_message(
    seed: bytes, message: bytes
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    signature = key.sign(message)

    for cut in range(64):
        assert not verify(
            key.public_key().public_bytes_raw(), signature[:cut], signature[cut:] + message
        )
