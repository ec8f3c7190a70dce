"""How lately a person proved who she is: asked before what no browser left open may do."""

from __future__ import annotations

from datetime import datetime, timedelta

from patchtide.domain.access.principals import Principal, SessionHolder, TokenHolder
from patchtide.domain.errors import Refused

LASTS = timedelta(minutes=5)


class SignInAgain(Refused):
    """Prove once more who you are: this is done only within five minutes of it."""

    code = "sign-in-again"


def check_proof(principal: Principal, *, now: datetime, only_people: bool) -> None:
    """Let it pass, or raise why not; who may ask at all is another question.

    | the principal                           | passes             |
    | --------------------------------------- | ------------------ |
    | is a person who proved herself just now | yes                |
    | is one who did so longer ago            | no                 |
    | holds an API token                      | unless only people |
    """
    if isinstance(principal, SessionHolder) and not is_recent(principal, now=now):
        raise SignInAgain
    if isinstance(principal, TokenHolder) and only_people:
        raise SignInAgain("only a person may do this, who signed in to the console")


def is_recent(holder: SessionHolder, *, now: datetime) -> bool:
    # The clocks of two nodes differ a little; and one that was set back makes no proof last.
    return abs(now - holder.proved_at) <= LASTS
