"""What brings messages out of the server, put together."""

from __future__ import annotations

import secrets
import ssl
from functools import partial
from pathlib import Path

from patchtide.adapters.notify.mail import Mailer, Relay
from patchtide.adapters.notify.senders import Senders, secret_of
from patchtide.adapters.notify.webhook import Webhooks
from patchtide.adapters.trust.durable import locked, write_durably
from patchtide.entry.server.node import SystemClock
from patchtide.entry.server.settings import ServerSettings

KEY_BYTES = 32


def build_senders(settings: ServerSettings) -> Senders:
    tls = _tls(settings.notify_ca)
    key = _key(settings.home / "keys")
    mailer = None
    if settings.smtp:
        mailer = Mailer(
            relay=Relay.read(settings.smtp),
            sender=settings.mail_from or f"patchtide@{settings.served_names[0]}",
            tls=tls,
            site=settings.site,
            account=settings.smtp_account,
        )
    webhooks = Webhooks(
        secret_of=partial(secret_of, key),
        now=SystemClock().now,
        tls=tls,
        site=settings.site,
        inside=settings.notify_networks,
    )
    return Senders(webhooks=webhooks, mailer=mailer)


def _tls(ca: Path | None) -> ssl.SSLContext:
    """Return what verifies receivers: by the system's authorities and one of the operator's own."""
    made = ssl.create_default_context()
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is not None:
        made.load_verify_locations(cafile=str(ca))
    return made


def _key(folder: Path) -> bytes:
    path = folder / "channels.key"
    with locked(folder / "channels.lock"):
        if not path.exists():
            write_durably(path, secrets.token_bytes(KEY_BYTES))
    return path.read_bytes()
