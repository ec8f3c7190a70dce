"""The channels as they are kept, and what goes into the outbox for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.notifying import Channel, Message, Outgoing

CHANNELS, SENT = "notify.channels", "notify.sent"
MOST = 50


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel took last."""

    at: float
    subject: str


def read_channels(data: bytes | None) -> Mapping[str, Channel]:
    found = msgspec.msgpack.decode(data, type=list[Channel]) if data else []
    return {one.name: one for one in found}


def pack_channels(channels: Iterable[Channel]) -> bytes:
    return msgspec.msgpack.encode(sorted(channels, key=lambda one: one.name))


def read_sent(data: bytes | None) -> Mapping[str, Sent]:
    return msgspec.msgpack.decode(data, type=dict[str, Sent]) if data else {}


def note_sent(tx: Transaction, channel: str, sent: Sent) -> None:
    """Write down what the channel took, and forget those that are gone."""
    known = {**read_sent(tx.lock_setting(SENT)), channel: sent}
    there = read_channels(tx.setting(CHANNELS))
    kept = {name: one for name, one in known.items() if name in there}
    tx.put_setting(SENT, msgspec.msgpack.encode(kept))


def tell(tx: Transaction, message: Message, channels: Iterable[str]) -> None:
    """Put the message into the outbox for those of the channels that there are."""
    known = read_channels(tx.setting(CHANNELS))
    wanted = [name for name in dict.fromkeys(channels) if name in known]
    tx.outbox.put([Outgoing(channel=name, message=message) for name in wanted])


def message(
    id: str, kind: str, subject: str, text: str, *, at: datetime, **data: object
) -> Message:
    return Message(id=id, at=at, kind=kind, subject=subject, text=text, data=data)
