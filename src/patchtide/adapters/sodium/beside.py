"""What a process that verifies signatures for a busy server is asked, and what it answers.

Each call into libsodium gives up the interpreter and has to get it back from threads that are
busy; for a signature that takes longer than to verify it. A process of its own waits for nobody.
What a verified request will most likely be answered it signs in the same go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from patchtide.adapters.sodium.verifier import Claim, Verdict, signer, verdict

_claims = msgspec.msgpack.Decoder(list[Claim])
_verdicts = msgspec.msgpack.Decoder(list[Verdict])
_encode = msgspec.msgpack.Encoder().encode


def begin(seed: bytes) -> Callable[[bytes], bytes]:
    """Return what answers in the process beside; the seed is that of the key of answers."""
    sign = signer(Ed25519PrivateKey.from_private_bytes(seed))

    def answered(claim: Claim) -> Verdict:
        # Nothing is signed for whoever has not proved who he is.
        is_good = verdict(claim)
        return sign(claim[3]) if is_good and claim[3] else is_good

    return lambda question: _encode([answered(claim) for claim in _claims.decode(question)])


def question(claims: Sequence[Claim]) -> bytes:
    return _encode(claims)


def told(answer: bytes) -> list[Verdict]:
    return _verdicts.decode(answer)
