"""Messages as signed requests: a document in JSON, and proof of who sends it.

`Patchtide-Signature: t=SECONDS,v1=HEX` is the HMAC-SHA256 over `SECONDS.BODY` by the channel's
secret, so that a receiver can refuse what is forged, and what is old.
"""

from __future__ import annotations

import hmac
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec
import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

from patchtide.adapters.notify.addresses import Resolve, looked_up, place_of
from patchtide.adapters.notify.deadline import WHOLE_S, Deadline, deadline
from patchtide.domain.access.addresses import Network, may_be_told
from patchtide.server.ports.notifying import Channel, DeliveryFailed, Message, Step

CONNECT_S, ANSWER_S = 10.0, 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """`inside` are the networks that are not public and may be told all the same."""

    secret_of: Callable[[bytes], str]
    now: Callable[[], datetime]
    tls: ssl.SSLContext
    site: str
    inside: Sequence[Network] = ()
    resolve: Resolve = looked_up
    whole_s: float = WHOLE_S

    def send(self, channel: Channel, message: Message) -> None:
        """Raises DeliveryFailed."""
        parts = urlsplit(channel.address)
        host, port = parts.hostname or "", parts.port or 443
        place = place_of(
            host, port, may=lambda found: may_be_told(found, self.inside), resolve=self.resolve
        )
        body = self._body(message)
        headers = {
            "Host": parts.netloc,
            "Content-Type": "application/json",
            "User-Agent": "patchtide",
            "Patchtide-Delivery": message.id,
            "Patchtide-Signature": signature(
                self.secret_of(channel.salt), body, at=int(self.now().timestamp())
            ),
        }
        timeout = urllib3.Timeout(connect=CONNECT_S, read=ANSWER_S)
        with deadline(self.whole_s) as end, urllib3.HTTPSConnectionPool(
            place, port, timeout=timeout, retries=False, ssl_context=self.tls,
            server_hostname=host, assert_hostname=host,
        ) as pool:  # fmt: skip
            pool.ConnectionCls = partial(_Watched, end)  # type: ignore[assignment]
            status = _posted(pool, _target(parts), body, headers)
        if not 200 <= status < 300:
            step = Step.ACCOUNT if status in (401, 403) else Step.STATUS
            raise DeliveryFailed(step, f"{host} answered {status}")

    def _body(self, message: Message) -> bytes:
        return msgspec.json.encode(
            {
                "id": message.id,
                "kind": message.kind,
                "site": self.site,
                "at": message.at,
                "text": message.text,
                **message.data,
            }
        )


def signature(secret: str, body: bytes, *, at: int) -> str:
    """Return the proof that goes with a body."""
    digest = hmac.new(secret.encode(), str(at).encode() + b"." + body, sha256).hexdigest()
    return f"t={at},v1={digest}"


class _Watched(HTTPSConnection):
    def __init__(self, end: Deadline, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._end = end

    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        self._end.watch(made)
        return made


def _target(parts: SplitResult) -> str:
    """Return path and query: many receivers have their key in the query."""
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def _posted(
    pool: urllib3.HTTPSConnectionPool, target: str, body: bytes, headers: dict[str, str]
) -> int:
    """Return the status; whatever else is answered is not read."""
    try:
        reply = pool.urlopen(
            "POST", target, body=body, headers=headers, redirect=False, retries=False,
            preload_content=False,
        )  # fmt: skip
        with reply:
            return reply.status
    except SSLError as error:
        raise DeliveryFailed(Step.TLS, str(error)) from error
    except (NewConnectionError, ConnectTimeoutError) as error:
        raise DeliveryFailed(Step.CONNECTION, str(error)) from error
    except (HTTPError, OSError) as error:
        raise DeliveryFailed(Step.ANSWER, str(error)) from error
