"""Verifying request signatures beside the event loop: what waits, in one go, on another core.

One verification costs as much as half of a check-in. So the loop hands over whatever came in
since the last hand-over, to a thread that verifies or has it verified.

libsodium takes half of OpenSSL's time for Ed25519; both give the same verdicts and signatures.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl.bindings import (
    crypto_sign,
    crypto_sign_BYTES,
    crypto_sign_open,
    crypto_sign_PUBLICKEYBYTES,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import CryptoError

log = logging.getLogger(__name__)

Claim = tuple[bytes, bytes, bytes, bytes]
"""public key, signature, message, and what may be signed in answer when it verifies"""
Verdict = bool | bytes
"""Does it verify? If it does, perhaps the answer's signature, made where it was verified."""
_Waiting = tuple[Claim, asyncio.Future[Verdict]]
VerifyAll = Callable[[Sequence[Claim]], Sequence[Verdict]]
"""One verdict for each claim; where there is none, or it raises, they are verified here."""


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether the Ed25519 signature is that of the message by the key."""
    # The library looks at neither length: it would read on in the message, or beyond the key.
    if len(signature) != crypto_sign_BYTES or len(public_key) != crypto_sign_PUBLICKEYBYTES:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except (CryptoError, ValueError):
        return False
    return True


def signer(key: Ed25519PrivateKey) -> Callable[[bytes], bytes]:
    """Return what signs with the key."""
    _, secret = crypto_sign_seed_keypair(key.private_bytes_raw())
    return lambda message: crypto_sign(message, secret)[:crypto_sign_BYTES]


class Verifier:
    """Verifies for one event loop; a lone signature at once, several on a thread."""

    def __init__(self, verify_all: VerifyAll | None = None) -> None:
        self._verify_all = verify_all or verdicts
        self._waiting: list[_Waiting] = []
        self._is_busy = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="verifier")

    def __call__(
        self, public_key: bytes, signature: bytes, message: bytes, answer: bytes = b""
    ) -> asyncio.Future[Verdict]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Verdict] = loop.create_future()
        self._waiting.append(((public_key, signature, message, answer), future))
        if not self._is_busy:
            self._is_busy = True
            loop.call_soon(self._hand_over, loop)
        return future

    def close(self) -> None:
        self._thread.shutdown()

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._waiting = self._waiting, []
        if len(batch) > 1:
            self._thread.submit(self._work, batch, loop)
            return
        self._is_busy = False
        for claim, future in batch:
            _tell(future, verdict(claim))

    def _work(
        self,
        batch: Sequence[_Waiting],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        claims = [claim for claim, _ in batch]
        try:
            found = self._verify_all(claims)
            is_whole = len(found) == len(claims)
        except Exception:  # whoever waits here would wait for ever, and all who come after him
            log.exception("signatures could not be verified beside")
            is_whole = False
        if not is_whole:
            found = verdicts(claims)
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._conclude, batch, found, loop)

    def _conclude(
        self,
        batch: Sequence[_Waiting],
        found: Sequence[Verdict],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        for (_, future), found_so in zip(batch, found, strict=True):
            _tell(future, found_so)
        self._hand_over(loop)


def verdicts(claims: Sequence[Claim]) -> list[bool]:
    return [verdict(claim) for claim in claims]


def verdict(claim: Claim) -> bool:
    try:
        return verify(*claim[:3])
    except Exception:  # somebody waits for an answer, and what was not verified is false
        log.exception("a signature could not be verified")
        return False


def _tell(future: asyncio.Future[Verdict], verdict: Verdict) -> None:
    if not future.done():  # whoever asked has gone away
        future.set_result(verdict)
