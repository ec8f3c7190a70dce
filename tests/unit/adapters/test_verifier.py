"""The verifier answers whoever asked, whatever happens to one claim."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from patchtide.adapters.sodium import verifier
from patchtide.adapters.sodium.verifier import Verifier, signer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("good", [0, 3], ids=["alone", "among others"])
async def test_a_claim_that_cannot_be_verified_is_false_and_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, good: int
) -> None:
    key = Ed25519PrivateKey.generate()
    public, signature = key.public_key().public_bytes_raw(), signer(key)(b"message")
    real = verifier.verify

    def fails(public_key: bytes, signature: bytes, message: bytes) -> bool:
        if message == b"bad":
            raise MemoryError
        return real(public_key, signature, message)

    monkeypatch.setattr(verifier, "verify", fails)
    asked = Verifier()
    try:
        claims = [asked(public, signature, b"bad")]
        claims += [asked(public, signature, b"message") for _ in range(good)]
        async with asyncio.timeout(5):
            assert await asyncio.gather(*claims) == [False, *[True] * good]
            assert await asked(public, signature, b"message")
    finally:
        asked.close()


def _breaks(claims: object) -> list[bool]:
    raise MemoryError


def _says_too_little(claims: object) -> list[bool]:
    return []


@pytest.mark.parametrize("verify_all", [_breaks, _says_too_little])
async def test_what_cannot_be_verified_elsewhere_is_verified_here(
    verify_all: verifier.VerifyAll,
) -> None:
    key = Ed25519PrivateKey.generate()
    public, signature = key.public_key().public_bytes_raw(), signer(key)(b"message")
    asked = Verifier(verify_all)
    try:
        for _ in range(2):
            claims = [asked(public, signature, b"message"), asked(public, signature, b"other")]
            async with asyncio.timeout(5):
                assert await asyncio.gather(*claims) == [True, False]
    finally:
        asked.close()
