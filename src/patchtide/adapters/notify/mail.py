"""Messages as e-mail, through the relay that the server's operator named; never in the clear.

The relay's account lies in a file that nobody else may read. It is read anew each time, so that
it is in no database, no argument and no setting.
"""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from patchtide.adapters.notify.addresses import Resolve, looked_up, place_of
from patchtide.adapters.notify.deadline import WHOLE_S, Deadline, deadline
from patchtide.domain.access.addresses import may_be_asked
from patchtide.server.ports.notifying import Channel, DeliveryFailed, Message, Step

TIMEOUT_S = 20.0
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """`smtp` begins in the clear and must go on in TLS; `smtps` is TLS from the first byte."""

    scheme: str
    host: str
    port: int

    @classmethod
    def read(cls, address: str) -> Relay:
        """Raises ValueError."""
        parts = urlsplit(address)
        if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError("an address of a relay, as smtp://mail.example:587 or smtps://...")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("an account does not belong into the address, but into its file")
        return cls(
            scheme=parts.scheme, host=parts.hostname, port=parts.port or _PORTS[parts.scheme]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    relay: Relay
    sender: str
    tls: ssl.SSLContext
    site: str
    account: Path | None = None
    resolve: Resolve = looked_up
    whole_s: float = WHOLE_S

    def send(self, channel: Channel, message: Message) -> None:
        """Raises DeliveryFailed."""
        mail = self._written(channel, message)
        account = read_account(self.account) if self.account else None
        relay = self.relay
        place = place_of(
            relay.host,
            relay.port,
            may=lambda found: may_be_asked(found, relay.host, is_named=True),
            resolve=self.resolve,
        )
        with self._opened(place) as smtp:
            if account:
                with _at(Step.ACCOUNT):
                    smtp.login(*account)
            with _at(Step.RECIPIENT):
                refused = smtp.send_message(mail)
        if refused:  # the others have it: to try again would tell them again
            said = f"refused: {', '.join(sorted(refused))}; the others have it"
            raise DeliveryFailed(Step.RECIPIENT, said, is_taken=True)

    def _written(self, channel: Channel, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self.sender
        mail["To"] = ", ".join(channel.to)
        mail["Subject"] = f"[{self.site}] {message.subject}"
        mail["Date"] = format_datetime(message.at)
        mail["Message-ID"] = f"<{message.id}@{self.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        if file := message.attachment:
            kind, _, of = file.media_type.partition(";")[0].partition("/")
            mail.add_attachment(file.body, maintype=kind, subtype=of, filename=file.name)
        return mail

    @contextmanager
    def _opened(self, place: str) -> Iterator[smtplib.SMTP]:
        with deadline(self.whole_s) as end, self._spoken_to(place, end) as smtp:
            yield smtp

    @contextmanager
    def _spoken_to(self, place: str, end: Deadline) -> Iterator[smtplib.SMTP]:
        is_tls = self.relay.scheme == "smtps"
        with _at(Step.CONNECTION):
            smtp = _Placed(self.relay, place, self.tls if is_tls else None, end)
        try:
            with _at(Step.TLS):
                if not is_tls:
                    smtp.starttls(context=self.tls)
                smtp.ehlo()
            yield smtp
            # What was taken is taken, however the relay says goodbye.
            with suppress(smtplib.SMTPException, OSError):
                smtp.quit()
        finally:
            smtp.close()


class _Placed(smtplib.SMTP):
    """Speaks to the address that was checked, under the name that was asked for."""

    def __init__(self, relay: Relay, place: str, tls: ssl.SSLContext | None, end: Deadline) -> None:
        self._place, self._tls, self._end = place, tls, end
        super().__init__(relay.host, relay.port, timeout=TIMEOUT_S)

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        made = socket.create_connection((self._place, port), timeout)
        self._end.watch(made)
        return self._tls.wrap_socket(made, server_hostname=host) if self._tls else made


@contextmanager
def _at(step: Step) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise DeliveryFailed(Step.TLS, str(error)) from error
    except smtplib.SMTPNotSupportedError as error:
        raise DeliveryFailed(step, str(error)) from error
    except smtplib.SMTPSenderRefused as error:
        raise DeliveryFailed(Step.ACCOUNT, _said(error)) from error
    except smtplib.SMTPRecipientsRefused as error:
        raise DeliveryFailed(step, f"refused: {', '.join(sorted(error.recipients))}") from error
    except smtplib.SMTPResponseException as error:
        raise DeliveryFailed(step, _said(error)) from error
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryFailed(step, str(error)) from error


def _said(error: smtplib.SMTPResponseException) -> str:
    text = error.smtp_error
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{error.smtp_code} {said}"


def read_account(path: Path) -> tuple[str, str]:
    """Return user and password of a file of `USER:PASSWORD`.

    Raises:
        DeliveryFailed: it cannot be read, is another thing, or others may read it.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid not in (0, os.geteuid()):
                raise DeliveryFailed(Step.ACCOUNT, f"others may read {path}: chmod 600 it")
            text = file.read(4096).decode("utf-8", "replace").strip("\r\n")
    except OSError as error:
        raise DeliveryFailed(Step.ACCOUNT, f"{path}: {error.strerror}") from error
    user, colon, password = text.partition(":")
    if not colon or not user or not text.isprintable():
        raise DeliveryFailed(Step.ACCOUNT, f"{path} is not one line of USER:PASSWORD")
    if not text.isascii():
        raise DeliveryFailed(Step.ACCOUNT, f"{path} has letters in it that are not of ASCII")
    return user, password
