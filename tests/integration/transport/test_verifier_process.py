"""A crowd of signatures is verified in a process of its own, or here where there is none."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from patchtide.adapters.sodium.verifier import Claim, signer, verify
from patchtide.entry.server.verifier_process import VerifierProcess
from tests.simulator.processes import own_children

WITHIN_S = 30.0
ANSWERS = Ed25519PrivateKey.generate()


@pytest.fixture
def verifier() -> Iterator[VerifierProcess]:
    made = VerifierProcess(ANSWERS)
    yield made
    made.close()


def claims() -> tuple[list[Claim], list[bool]]:
    key = Ed25519PrivateKey.generate()
    public, sign = key.public_key().public_bytes_raw(), signer(key)
    good = [(public, sign(b"%d" % n), b"%d" % n, b"") for n in range(100)]
    bad = [(public, sign(b"one"), b"other"), (public, b"short", b"one"), (b"", sign(b"a"), b"a")]
    return [*good, *((*claim, b"") for claim in bad)], [True] * len(good) + [False] * len(bad)


def verifying() -> list[int]:
    """Return this process's children that verify."""
    return own_children("patchtide.entry.verifier")


def until_it_is_asked(verifier: VerifierProcess) -> int:
    asked, expected = claims()
    deadline = time.monotonic() + WITHIN_S
    while not verifier.is_beside:
        assert list(verifier(asked)) == expected
        assert time.monotonic() < deadline
        time.sleep(0.02)
    [pid] = verifying()
    return pid


def test_the_process_gives_the_same_verdicts(verifier: VerifierProcess) -> None:
    asked, expected = claims()
    until_it_is_asked(verifier)
    assert list(verifier(asked)) == expected


def test_only_a_verified_request_has_its_answer_signed(verifier: VerifierProcess) -> None:
    until_it_is_asked(verifier)
    asked = [(*claim[:3], b"answer") for claim in claims()[0]]

    said = verifier(asked)

    signed = [s for s in said if isinstance(s, bytes)]
    assert [isinstance(s, bytes) for s in said] == claims()[1]
    assert len(signed) == 100
    assert all(verify(ANSWERS.public_key().public_bytes_raw(), s, b"answer") for s in signed)


def test_without_the_process_everybody_still_gets_a_verdict(
    verifier: VerifierProcess, caplog: pytest.LogCaptureFixture
) -> None:
    asked, expected = claims()
    os.kill(until_it_is_asked(verifier), signal.SIGKILL)
    assert [list(verifier(asked)) for _ in range(3)] == [expected] * 3
    assert caplog.text.count("verified within the server") == 1
    assert verifying() == []


def test_the_process_ends_with_who_started_it(verifier: VerifierProcess) -> None:
    until_it_is_asked(verifier)
    verifier.close()
    assert verifying() == []
