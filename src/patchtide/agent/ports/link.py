"""The agent's way to its server. Every answer that decides something is signed; the link has
checked that before it returns one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from patchtide.wire.messages import CheckInAnswerV1


@dataclass(frozen=True, slots=True)
class News:
    answer: CheckInAnswerV1


@dataclass(frozen=True, slots=True)
class NoNews:
    next_poll_s: int
    root_version: int = 0
    """The newest root, as the server says; 0: it does not say."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The report (or inventory) is durable at the server."""


@dataclass(frozen=True, slots=True)
class JumpTo:
    expected: int


@dataclass(frozen=True, slots=True)
class SendAgain:
    server_now: float


@dataclass(frozen=True, slots=True)
class NeedFull: ...


@dataclass(frozen=True, slots=True)
class Busy:
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class LinkFailed:
    """Nothing that counts came back: `code` says why (unreachable, untrusted, not-admitted)."""

    code: str
    detail: str = ""


Answer = News | NoNews | Taken | JumpTo | SendAgain | NeedFull | Busy | LinkFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One signed message: the counter is in the body too; `created` is the server's time."""

    body: bytes
    counter: int
    created: int


class ServerLink(Protocol):
    def check_in(self, message: Outgoing) -> Answer: ...

    def report(self, message: Outgoing) -> Answer: ...

    def inventory(self, message: Outgoing) -> Answer: ...
