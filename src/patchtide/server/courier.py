"""Brings messages to their channels: each at least once, always under the same id.

A message is put into the outbox in the transaction of the decision that it tells of. Whoever
claims it has a while to bring it; if he does not come back, somebody else brings it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256

from patchtide.domain.errors import StaleRevision
from patchtide.server.channel_book import CHANNELS, Sent, note_sent, read_channels
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.ports.notifying import (
    Channel,
    DeliveryFailed,
    Message,
    OutboxReading,
    Outgoing,
    Sender,
    Step,
)
from patchtide.server.ports.reading import Lookups
from patchtide.server.threads import Threads

log = logging.getLogger(__name__)

SYSTEM, DELIVER = "system", "channels.deliver"
AT_ONCE, OF_ONE = 8, 2
"""Messages at once, and of those for one channel: who never answers holds up only his own."""
LEASE = timedelta(minutes=5)
FIRST, LONGEST = timedelta(seconds=30), timedelta(hours=1)
PATIENCE = timedelta(days=3)


@dataclass(kw_only=True)
class Courier:
    outbox: OutboxReading
    lookups: Lookups
    decisions: Decisions
    sender: Sender
    clock: Clock
    threads: Threads = field(default_factory=lambda: Threads("notify", count=AT_ONCE))
    """Of their own: who is slow to answer keeps nobody waiting who asks this node something."""

    async def step(self) -> None:
        """Bring what is due; call it every few seconds."""
        now = self.clock.now()
        if not await asyncio.to_thread(lambda: self.outbox.is_due(now=now)):
            return
        claimed = await self.decisions.decide(
            SYSTEM,
            DELIVER,
            lambda tx: tx.outbox.claim(now=now, until=now + LEASE, limit=AT_ONCE, of_one=OF_ONE),
            now=now,
        )
        channels = read_channels(await asyncio.to_thread(self.lookups.setting, CHANNELS))
        await asyncio.gather(*(self._bring(one, channels) for one in claimed))

    async def _bring(self, one: Outgoing, channels: Mapping[str, Channel]) -> None:
        message, name = one.message, one.channel
        try:
            channel = channels.get(name)
            if channel is None:
                raise DeliveryFailed(Step.CHANNEL, f"there is no channel {name} any more")
            await self.threads.run(partial(attempt, self.sender, channel, message))
        except DeliveryFailed as error:
            if not error.is_taken:
                await self._failed(one, error)
                return
            log.warning("message %s to %s: %s: %s", message.id, name, error.step, error)
        now = self.clock.now()
        sent = Sent(at=now.timestamp(), subject=message.subject)

        def work(tx: Transaction) -> None:
            tx.outbox.told(message.id, name)
            note_sent(tx, name, sent)

        try:
            await self.decisions.decide(SYSTEM, DELIVER, work, now=now)
        except StaleRevision:
            # Another node noted its first message just now; what was sent is not to go out again.
            await self.decisions.decide(SYSTEM, DELIVER, work, now=now)

    async def _failed(self, one: Outgoing, error: DeliveryFailed) -> None:
        now, message = self.clock.now(), one.message
        again_at = next_try(message.id, one.attempts + 1, begun=message.at, now=now)
        if error.step is Step.CHANNEL:
            again_at = None
        log.warning(
            "message %s to %s: %s: %s; %s",
            message.id, one.channel, error.step, error, "again later" if again_at else "given up",
        )  # fmt: skip
        said = f"{error.step}: {error}"
        await self.decisions.decide(
            SYSTEM,
            DELIVER,
            lambda tx: tx.outbox.failed(message.id, one.channel, error=said, again_at=again_at),
            now=now,
        )


def attempt(sender: Sender, channel: Channel, message: Message) -> None:
    """Send it once; whatever goes wrong is a failure that is counted, or it would have no end.

    Raises:
        DeliveryFailed
    """
    try:
        sender.send(channel, message)
    except DeliveryFailed:
        raise
    except Exception as error:
        log.exception("message %s to %s could not be sent", message.id, channel.name)
        said = f"{type(error).__name__}; the server's log has the rest"
        raise DeliveryFailed(Step.ANSWER, said) from error


def next_try(message: str, attempts: int, *, begun: datetime, now: datetime) -> datetime | None:
    """Return when to try again after so many attempts; None: not any more.

    Twice as late each time, and by up to a quarter earlier, which another message does not share.
    """
    if now - begun >= PATIENCE:
        return None
    whole: timedelta = min(FIRST * 2 ** min(attempts - 1, 12), LONGEST)
    lot = int.from_bytes(sha256(f"{message}\n{attempts}".encode()).digest()[:4]) / 2**32
    return now + whole * (1 - lot / 4)
