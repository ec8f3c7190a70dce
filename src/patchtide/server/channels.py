"""Channels: by which ways alerts are told to somebody outside, and whether they work."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import InvalidDocument, NotFound, Problem, WrongState
from patchtide.server.channel_book import (
    CHANNELS,
    MOST,
    SENT,
    Sent,
    message,
    pack_channels,
    read_channels,
    read_sent,
)
from patchtide.server.context import Call
from patchtide.server.courier import attempt
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.notifying import Channel, ChannelStanding, DeliveryFailed
from patchtide.server.saved_searches import Name, OneName
from patchtide.server.table import Input, Nothing, Output

MAILBOX = r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}$(?![\s\S])"
SALT_BYTES = 16


class DefineChannel(Input, kw_only=True, frozen=True):
    name: Name
    address: Annotated[
        str, Meta(max_length=2000, description="Of a webhook, beginning with https://.")
    ] = ""
    to: Annotated[
        tuple[Annotated[str, Meta(pattern=MAILBOX, max_length=320)], ...],
        Meta(max_length=50, description="Who gets e-mail."),
    ] = ()


class MadeChannel(Output, kw_only=True, frozen=True):
    name: str
    kind: Literal["webhook", "email"]
    secret: str
    """What a webhook's requests are signed with; it is shown this once. Of e-mail: empty."""


class ShownChannel(Output, kw_only=True, frozen=True):
    name: str
    kind: Literal["webhook", "email"]
    to: str
    """Whom it tells; of a webhook only the host: the rest of an address may be a secret."""
    waiting: int
    given_up: int
    error: str
    """What went wrong last of what waits."""
    sent: str
    """What it took last; empty: nothing yet."""
    sent_at: datetime | None
    defined_by: str
    defined_at: datetime


class ChannelList(Output, kw_only=True, frozen=True):
    items: tuple[ShownChannel, ...]


class Tested(Output, kw_only=True, frozen=True):
    delivered: bool
    step: str
    """The step that failed; empty: none."""
    detail: str


async def define(call: Call, principal: Principal, asked: DefineChannel) -> MadeChannel:
    """Define one, in place of one of the same name: with a new secret, if it has any.

    Raises:
        InvalidDocument: it is neither a webhook nor e-mail, or its address is none.
        WrongState: there are too many already.
    """
    if bool(asked.address) is bool(asked.to):
        raise InvalidDocument([Problem("address", "or to: name one of them")])
    if asked.address:
        _check_address(asked.address)
    channel = Channel(
        name=asked.name,
        kind="webhook" if asked.address else "email",
        address=asked.address,
        to=asked.to,
        salt=secrets.token_bytes(SALT_BYTES),
        by=principal.actor,
        at=call.now.timestamp(),
    )

    def work(tx: Transaction) -> None:
        known = dict(read_channels(tx.lock_setting(CHANNELS)))
        known[channel.name] = channel
        if len(known) > MOST:
            raise WrongState(f"there are {MOST} channels already; remove one first")
        tx.put_setting(CHANNELS, pack_channels(known.values()))
        tx.note(channel.name, kind=channel.kind, to=_whom(channel))

    await call.decide(principal, work)
    secret = call.context.channels.secret_of(channel.salt) if channel.kind == "webhook" else ""
    return MadeChannel(name=channel.name, kind=channel.kind, secret=secret)


async def remove(call: Call, principal: Principal, asked: OneName) -> None:
    """Raises NotFound."""

    def work(tx: Transaction) -> None:
        known = dict(read_channels(tx.lock_setting(CHANNELS)))
        if known.pop(asked.name, None) is None:
            raise NotFound
        tx.put_setting(CHANNELS, pack_channels(known.values()))
        tx.note(asked.name)

    await call.decide(principal, work)


async def list_all(call: Call, principal: Principal, asked: Nothing) -> ChannelList:
    def question() -> ChannelList:
        known = read_channels(call.context.lookups.setting(CHANNELS))
        sent = read_sent(call.context.lookups.setting(SENT))
        standings = call.context.reading.outbox.standings()
        return ChannelList(
            items=tuple(
                _shown(one, standings.get(one.name, ChannelStanding()), sent.get(one.name))
                for one in known.values()
            )
        )

    return await call.read(question)


async def test(call: Call, principal: Principal, asked: OneName) -> Tested:
    """Tell a channel something that means nothing, at once.

    Raises:
        NotFound
    """
    known = read_channels(await call.read(lambda: call.context.lookups.setting(CHANNELS)))
    channel = known.get(asked.name)
    if channel is None:
        raise NotFound
    await call.decide(principal, lambda tx: tx.note(asked.name))
    sent = message(
        secrets.token_hex(16),
        "test",
        f"test of {asked.name}",
        f"This is a test of the channel {asked.name}. Nothing is wrong.",
        at=call.now,
    )
    try:
        await call.context.notifying.run(lambda: attempt(call.context.channels, channel, sent))
    except DeliveryFailed as error:
        return Tested(delivered=False, step=error.step, detail=str(error))
    return Tested(delivered=True, step="", detail="")


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        is_one = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or not address.isascii() or not address.isprintable() or " " in address:
        raise InvalidDocument([Problem("address", "is none that begins with https://")])
    if "@" in parts.netloc or parts.fragment:
        raise InvalidDocument([Problem("address", "has an account or a fragment in it")])


def _whom(channel: Channel) -> str:
    if channel.kind == "webhook":
        return urlsplit(channel.address).netloc
    return ", ".join(channel.to)


def _shown(channel: Channel, standing: ChannelStanding, sent: Sent | None) -> ShownChannel:
    return ShownChannel(
        name=channel.name,
        kind=channel.kind,
        to=_whom(channel),
        waiting=standing.waiting,
        given_up=standing.given_up,
        error=standing.error,
        sent=sent.subject if sent else "",
        sent_at=datetime.fromtimestamp(sent.at, UTC) if sent else None,
        defined_by=channel.by,
        defined_at=datetime.fromtimestamp(channel.at, UTC),
    )
