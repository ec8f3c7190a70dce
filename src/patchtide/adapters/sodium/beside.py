"""What a process that verifies signatures for a busy server is asked, and what it answers.

Each call into libsodium gives up the interpreter and has to get it back from threads that are
busy; for a signature that takes longer than to verify it. A process of its own waits for nobody.

A question is a MessagePack list of claims, the answer a byte a claim.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from patchtide.adapters.sodium.verifier import Claim, verdict

_claims = msgspec.msgpack.Decoder(list[Claim])
_encode = msgspec.msgpack.Encoder().encode


def question(claims: Sequence[Claim]) -> bytes:
    return _encode(claims)


def answered(question: bytes) -> bytes:
    return bytes(verdict(claim) for claim in _claims.decode(question))


def told(answer: bytes) -> list[bool]:
    return [byte == 1 for byte in answer]
