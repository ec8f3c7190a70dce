"""A getter that has at hand what one answer brought, and fetches everything else.

Not a byte of the answer is unpacked before its signature is right (S24).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from patchtide.agent.ports.web import Getter, Reply, TransferFailed
from patchtide.domain.errors import InvalidDocument
from patchtide.wire.catch_up import (
    MAX_CATCH_UP,
    SIGNATURE,
    Known,
    address_of,
    read_catch_up,
    signed_bytes,
)

TOTAL_S = 60.0
STALL_S = 30.0
log = logging.getLogger(__name__)


class CarriedGetter:
    """A Getter over another one, and the port `CatchUp`. `url` is the server's address."""

    def __init__(
        self,
        getter: Getter,
        url: str,
        *,
        answer_key: bytes,
        known: Callable[[Sequence[str]], Known | None],
    ) -> None:
        self._getter = getter
        self._url = url.rstrip("/")
        self._known = known
        self._answer_key = Ed25519PublicKey.from_public_bytes(answer_key)
        self._files: dict[str, bytes] = {}

    @contextmanager
    def brought(self, shards: Sequence[str]) -> Iterator[None]:
        """See the port `CatchUp`."""
        known = self._known(shards) if shards else None
        try:
            self._files = self._asked(known, shards) if known else {}
        except (TransferFailed, InvalidDocument, InvalidSignature) as error:
            # Only a shorter way: what is to be had is fetched file by file, and fails with a name.
            log.info("no catch-up", extra={"reason": str(error)})
        try:
            yield
        finally:
            self._files = {}

    def _asked(self, known: Known, shards: Sequence[str]) -> dict[str, bytes]:
        name = address_of(known, shards)
        data = bytearray()
        address = f"{self._url}/since/{name}"
        with self._getter.get(address, total_s=TOTAL_S, stall_s=STALL_S) as reply:
            if reply.status != 200:
                return {}
            for chunk in reply.chunks:
                data += chunk
                if len(data) > MAX_CATCH_UP:
                    raise TransferFailed("the answer is too long")
        signature, packed = bytes(data[:SIGNATURE]), bytes(data[SIGNATURE:])
        self._answer_key.verify(signature, signed_bytes(name, packed))
        return read_catch_up(packed, known)

    @contextmanager
    def get(self, url: str, *, offset: int = 0, total_s: float, stall_s: float) -> Iterator[Reply]:
        """See the port `Getter`; what is at hand is given once."""
        body = None if offset else self._taken(url)
        if body is None:
            with self._getter.get(url, offset=offset, total_s=total_s, stall_s=stall_s) as reply:
                yield reply
        else:
            yield Reply(status=200, length=len(body), start=0, chunks=iter((body,)))

    def _taken(self, url: str) -> bytes | None:
        name = url.rpartition("/")[2]
        found = self._files.pop(name, None)
        # An index is named by its digest and more, a delta by its digest alone.
        return self._files.pop(name.partition(".")[0], None) if found is None else found
