"""Who must prove anew who she is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from patchtide.domain.access.principals import Anonymous, Principal, SessionHolder, TokenHolder
from patchtide.domain.access.proofs import SignInAgain, check_proof
from tests.simulator.clock import START

TOKEN = TokenHolder(token_id="0f1e2d3c4b5a", name="t", rights=frozenset(), expires_at=None)


def a_person(**ago: int) -> SessionHolder:
    proved = START - timedelta(**ago)
    return SessionHolder(user_id="u", name="maria", rights=frozenset(), proved_at=proved)


CASES = {
    "just now": (a_person(), False, True),
    "five minutes ago": (a_person(minutes=5), True, True),
    "a moment longer ago": (a_person(minutes=5, microseconds=1), False, False),
    "on a node whose clock is ahead": (a_person(seconds=-3), False, True),
    "before the clock was set back": (a_person(hours=-1), False, False),
    "never": (SessionHolder(user_id="u", name="m", rights=frozenset()), False, False),
    "a program": (TOKEN, False, True),
    "a program where only people may": (TOKEN, True, False),
    "nobody, who is refused by the policy": (Anonymous(), True, True),
}


@pytest.mark.parametrize(("who", "only_people", "passes"), CASES.values(), ids=CASES)
def test_a_proof_is_asked_of_people(who: Principal, only_people: bool, passes: bool) -> None:
    if passes:
        check_proof(who, now=START, only_people=only_people)
        return
    with pytest.raises(SignInAgain):
        check_proof(who, now=START, only_people=only_people)
