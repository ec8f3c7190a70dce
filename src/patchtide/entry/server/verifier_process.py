"""The process that verifies signatures for a busy server: begun with the first crowd."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from patchtide.adapters.sodium.beside import question, told
from patchtide.adapters.sodium.verifier import Claim, Verdict, verdicts
from patchtide.entry.server.beside import ProcessBeside

MODULE = "patchtide.entry.verifier"


class VerifierProcess:
    """Verifies there, or here as long as there is no such process. For one thread at a time."""

    def __init__(self, answers: Ed25519PrivateKey) -> None:
        """`answers` is the key that the server's answers are signed by."""
        self._beside = ProcessBeside(
            MODULE,
            told=answers.private_bytes_raw(),
            without_it="signatures are verified within the server",
        )

    @property
    def is_beside(self) -> bool:
        """There is such a process, and it is ready."""
        return self._beside.is_ready

    def __call__(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        answer = self._beside.ask(question(claims)) if self._beside.begin() else None
        return verdicts(claims) if answer is None else told(answer)

    def close(self) -> None:
        self._beside.close()
