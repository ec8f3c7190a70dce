"""What telling somebody outside needs: messages that are kept until they were told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

import msgspec

from patchtide.domain.errors import PatchtideError


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A way to tell somebody. What proves who tells is not in it: it follows from the salt."""

    name: str
    kind: Literal["webhook", "email"]
    address: str = ""
    """Of a webhook."""
    to: tuple[str, ...] = ()
    """Of e-mail."""
    salt: bytes = b""
    by: str = ""
    at: float = 0.0


MOST_ATTACHED = 2 * 2**20
"""Bytes that go with a message: it waits in the database until it was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes with e-mail."""

    name: str
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    id: str
    """The same however often it is sent; a receiver knows by it what it has had."""
    at: datetime
    kind: str
    subject: str
    text: str
    data: Mapping[str, object]
    attachment: Attachment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to one channel that nobody has confirmed yet."""

    channel: str
    message: Message
    attempts: int = 0


class Step(StrEnum):
    """How far a message came."""

    CHANNEL = "channel"
    """There is no such channel any more, or nothing to send with."""
    NAME = "name"
    CONNECTION = "connection"
    TLS = "tls"
    ACCOUNT = "account"
    RECIPIENT = "recipient"
    ANSWER = "answer"
    STATUS = "status"


class DeliveryFailed(PatchtideError):
    """A message could not be delivered, or `is_taken`: not to all whom the channel names."""

    code = "delivery-failed"

    def __init__(self, step: Step, detail: str, *, is_taken: bool = False) -> None:
        self.step = step
        self.is_taken = is_taken
        super().__init__(detail)


class Sender(Protocol):
    def send(self, channel: Channel, message: Message) -> None:
        """Return once the other side has taken it.

        Raises:
            DeliveryFailed: with the step that failed.
        """
        ...


class Channels(Sender, Protocol):
    """All that channels need of the world."""

    def secret_of(self, salt: bytes) -> str:
        """Return what the channel of that salt signs with."""
        ...


class OutboxWriting(Protocol):
    """Inside one decision."""

    def put(self, outgoing: Sequence[Outgoing]) -> None: ...

    def claim(
        self, *, now: datetime, until: datetime, limit: int, of_one: int
    ) -> Sequence[Outgoing]:
        """Return what is due, which nobody else will be given before `until`.

        `of_one`: at most so many for one channel.
        """
        ...

    def told(self, message: str, channel: str) -> None: ...

    def failed(self, message: str, channel: str, *, error: str, again_at: datetime | None) -> None:
        """Keep it for later; None: nobody tries any more."""
        ...


class OutboxReading(Protocol):
    def is_due(self, *, now: datetime) -> bool: ...

    def standings(self) -> Mapping[str, ChannelStanding]:
        """Return how the channels stand that have anything to send."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStanding:
    waiting: int = 0
    given_up: int = 0
    error: str = ""
    """What went wrong last, of what waits."""
