"""Which requests were answered, how, and how quickly: told to whoever counts them."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from patchtide.adapters.http.exchange import AnswerWhole, Handed
from patchtide.adapters.http.problems import Reply

Answered = Callable[[str, int, float], None]
"""Hears the operation, the status and the seconds."""
OPERATION = "patchtide.operation"
"""Where a scope says which operation it came to."""
NONE = "none"
"""What no operation is declared for."""
GONE = 499
"""The status of a request whose asker did not wait for one."""


def unnoted(operation: str, status: int, seconds: float) -> None:
    """Nobody counts."""


def noted(operation: str, answer: AnswerWhole, answered: Answered) -> AnswerWhole:
    """Return what answers whole requests and tells of it."""

    async def noting(asked: Handed) -> Reply:
        began, status = monotonic(), 500
        try:
            reply = await answer(asked)
            status = reply.status
        finally:
            answered(operation, status, monotonic() - began)
        return reply

    return noting
