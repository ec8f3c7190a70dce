"""Each message by the way that its channel says."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

from patchtide.adapters.notify.mail import Mailer
from patchtide.adapters.notify.webhook import Webhooks
from patchtide.server.ports.notifying import Channel, DeliveryFailed, Message, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Senders:
    webhooks: Webhooks
    mailer: Mailer | None

    def secret_of(self, salt: bytes) -> str:
        return self.webhooks.secret_of(salt)

    def send(self, channel: Channel, message: Message) -> None:
        """Raises DeliveryFailed."""
        if channel.kind == "webhook":
            self.webhooks.send(channel, message)
        elif self.mailer is None:
            raise DeliveryFailed(Step.CHANNEL, "the server has no relay; start it with --smtp")
        else:
            self.mailer.send(channel, message)


def secret_of(key: bytes, salt: bytes) -> str:
    """Return what the channel of that salt signs with: the key is in a file, in no database."""
    return hmac.new(key, b"patchtide-channel-1\0" + salt, sha256).hexdigest()
