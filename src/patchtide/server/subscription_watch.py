"""Sends reports that are due to whoever subscribed to them: of several nodes one sends each.

Which one, nobody appoints: whoever locks the subscriptions first with the report made. That it was
sent becomes durable together with the message, so no node sends it twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from patchtide.domain.access.principals import SignedIn
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.errors import InvalidDocument, NotFound, Refused, Unavailable
from patchtide.server.channel_book import CHANNELS, read_channels
from patchtide.server.collection_checks import may_ask
from patchtide.server.context import Context
from patchtide.server.ports.notifying import Channel, Message
from patchtide.server.report_message import report_message
from patchtide.server.subscription_book import (
    SUBSCRIPTIONS,
    Subscription,
    bounds_of,
    conclude,
    owner_of,
    read_subscriptions,
    without_rights,
)

log = logging.getLogger(__name__)

SYSTEM, SEND = "system", "subscriptions.send"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionWatch:
    context: Context
    address: str
    """Of the console, for links."""

    async def step(self) -> None:
        """Send what is due; call it every minute or more often."""
        lookups, now = self.context.lookups, self.context.clock.now()
        known = read_subscriptions(await asyncio.to_thread(lookups.setting, SUBSCRIPTIONS))
        due = [one for one in known.values() if one.is_due(now)]
        if not due:
            return
        channels = read_channels(await asyncio.to_thread(lookups.setting, CHANNELS))
        for one in due:
            await self._tried(one, channels)

    async def _tried(self, one: Subscription, channels: Mapping[str, Channel]) -> None:
        try:
            await self._send(one, channels)
        except Unavailable:
            raise
        except Exception:  # the others are sent all the same
            log.exception("the report %s could not be sent", one.name)

    async def _send(self, one: Subscription, channels: Mapping[str, Channel]) -> None:
        now, lookups = self.context.clock.now(), self.context.lookups
        owner = await asyncio.to_thread(lambda: owner_of(one, lookups, now=now))
        found, within = await self._found(one, owner, channels), bounds_of(owner)
        now = self.context.clock.now()
        happened = await self.context.decisions.decide(
            SYSTEM, SEND, lambda tx: conclude(tx, one, found, now=now, within=within), now=now
        )
        if happened:
            log.info("report %s: %s", one.name, happened)

    async def _found(
        self, one: Subscription, owner: SignedIn, channels: Mapping[str, Channel]
    ) -> Message | str:
        """Return what is to be sent, as its owner would see it, or why there is nothing."""
        channel = channels.get(one.channel)
        if channel is None:
            return f"there is no channel {one.channel} any more"
        if why := without_rights(owner.rights):
            return why
        context, asked = self.context.within(bounds_of(owner)), one.asked()
        try:
            may_ask(owner, asked.collection, asked.machines)
            return await report_message(context, one, channel, address=self.address)
        except (InvalidDocument, InvalidQuery, NotFound, Refused) as error:
            return str(error) or "what it is about is not there any more"
